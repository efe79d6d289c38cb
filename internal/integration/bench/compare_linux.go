//go:build amd64 || arm64

package main

import (
	"fmt"
	"slices"
)

// arm is one of several ways to run that are compared. It returns its figures, as many as the other arms do.
type arm struct {
	name string
	run  func() ([]float64, error)
}

// comparison holds the figures of all rounds.
type comparison struct {
	arms    []arm
	figures [][][]float64 // by arm and round
}

// compare runs the arms in turns, in an order that rotates.
func compare(arms []arm, rounds int) (*comparison, error) {
	c := &comparison{arms: arms, figures: make([][][]float64, len(arms))}
	for round := range rounds {
		for i := range arms {
			turn := (i + round) % len(arms)
			figures, err := arms[turn].run()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", arms[turn].name, err)
			}
			c.figures[turn] = append(c.figures[turn], figures)
		}
	}
	return c, nil
}

// keep drops the rounds that do not fit, unless less than 3 would be left, and returns how many are left.
func (c *comparison) keep(fits func(round int) bool) int {
	var those []int
	for round := range c.figures[0] {
		if fits(round) {
			those = append(those, round)
		}
	}
	if len(those) < 3 {
		return len(those)
	}
	for arm := range c.figures {
		var kept [][]float64
		for _, round := range those {
			kept = append(kept, c.figures[arm][round])
		}
		c.figures[arm] = kept
	}
	return len(those)
}

// value is the spread of an arm's figure.
func (c *comparison) value(arm, figure int) spread {
	var values []float64
	for _, figures := range c.figures[arm] {
		values = append(values, figures[figure])
	}
	return spreadOf(values)
}

// ratio is the spread of an arm's figure divided by that of the first arm in the same round.
func (c *comparison) ratio(arm, figure int) spread {
	var values []float64
	for round, figures := range c.figures[arm] {
		values = append(values, figures[figure]/c.figures[0][round][figure])
	}
	return spreadOf(values)
}

// added is the spread of the difference between an arm's figure and that of the first arm in the same round.
func (c *comparison) added(arm, figure int) spread {
	var values []float64
	for round, figures := range c.figures[arm] {
		values = append(values, figures[figure]-c.figures[0][round][figure])
	}
	return spreadOf(values)
}

// spread is the range of some values.
type spread struct{ median, least, most float64 }

func spreadOf(values []float64) spread {
	slices.Sort(values)
	return spread{values[len(values)/2], values[0], values[len(values)-1]}
}

// format writes the median, and in parentheses the least and the most, with so many digits after the point.
func (s spread) format(digits int) string {
	return fmt.Sprintf("%.*f (%.*f to %.*f)", digits, s.median, digits, s.least, digits, s.most)
}
