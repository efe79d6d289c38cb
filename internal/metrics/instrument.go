package metrics

// Kind of an instrument.
type Kind uint8

// The kinds.
const (
	Histogram Kind = iota
	Counter
	Level // of what there is at present
	Ratio // of what was measured since the last emission
)

// Instrument is a metric.
type Instrument struct {
	Name, Unit, Description string
	Kind                    Kind
	Bounds                  []float64 // of a Histogram's buckets, in ascending order
}

// Bounds that the semantic conventions advise, in seconds. They advise none for sizes, in bytes, and for what they do not have.
var (
	secondsOfRequests    = []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}
	secondsOfDatabases   = []float64{0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10}
	bytesOfBodies        = []float64{0, 1 << 8, 1 << 10, 1 << 12, 1 << 14, 1 << 16, 1 << 18, 1 << 20, 1 << 22, 1 << 24, 1 << 26, 1 << 28}
	secondsOfConnections = []float64{0.001, 0.01, 0.1, 1, 10, 60, 600, 3600, 6 * 3600, 24 * 3600}
	secondsOfRoundTrips  = []float64{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 3}
)

func seconds(name, description string, bounds []float64) Instrument {
	return Instrument{Name: name, Unit: "s", Description: description, Bounds: bounds}
}

func size(name, description string) Instrument {
	return Instrument{Name: name, Unit: "By", Description: description, Bounds: bytesOfBodies}
}

func counter(name, unit, description string) Instrument {
	return Instrument{Name: name, Unit: unit, Description: description, Kind: Counter}
}
