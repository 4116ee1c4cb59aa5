package bench

import "context"

// Measure takes one raw measurement.
type Measure func(ctx context.Context) (float64, error)

// Beside runs run between two raw measurements and puts them into its result. figure is what of the result is compared
// with them.
func Beside(ctx context.Context, what, unit string, measure Measure, run func() (*Result, error), figure func(*Result) float64) (*Result, error) {
	before, err := measure(ctx)
	if err != nil {
		return nil, err
	}
	result, err := run()
	if err != nil {
		return result, err
	}
	after, err := measure(ctx)
	if err != nil {
		return result, err
	}
	ref := &Reference{What: what, Unit: unit, Before: before, After: after}
	if mean := (before + after) / 2; mean > 0 {
		ref.Ratio = figure(result) / mean
	}
	result.Reference = ref
	return result, nil
}

// PerSecond is the figure of the modes that count.
func PerSecond(r *Result) float64 { return r.PerSecond }

// PushP50 is the figure of Latency, in milliseconds.
func PushP50(r *Result) float64 { return r.Latency["push"].P50 }

// PerSession is the figure of Idle, in bytes.
func PerSession(r *Result) float64 { return r.Memory.PerSession }
