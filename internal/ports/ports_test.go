package ports

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]Range{
		"1": {1, 1}, " 80 ": {80, 80}, "65535": {65535, 65535}, "8000-8999": {8000, 8999}, "80 - 81": {80, 81}, "80-80": {80, 80},
	} {
		got, ok := Parse(text)
		assert.True(t, ok, text)
		assert.Equal(t, want, got, text)
		again, ok := Parse(got.String())
		assert.True(t, ok, text)
		assert.Equal(t, want, again, text)
	}
	for _, text := range []string{"", "0", "65536", "-1", "81-80", "0-80", "80-", "-80", "80-81-82", "http", "1e3"} {
		got, ok := Parse(text)
		assert.False(t, ok, text)
		assert.Zero(t, got, text)
	}
}

func TestContains(t *testing.T) {
	r := Range{80, 90}
	for port, want := range map[uint16]bool{79: false, 80: true, 85: true, 90: true, 91: false} {
		assert.Equal(t, want, r.Contains(port), port)
	}
	assert.True(t, Range{}.Contains(0), "any")
	assert.True(t, Range{}.Contains(65535), "any")
}

func TestZeroRangeIsAnEmptyString(t *testing.T) { assert.Empty(t, Range{}.String()) }
