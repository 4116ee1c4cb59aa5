package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/schollz/progressbar/v3"

	"github.com/nusku-messaging/nusku/cmd/internal/bench"
)

// progress shows how far a run is, on a terminal.
type progress struct{ bar *progressbar.ProgressBar }

func newProgress(w io.Writer) *progress {
	if !isTerminal(w) {
		return &progress{}
	}
	return &progress{progressbar.NewOptions(1000, progressbar.OptionSetWriter(w), progressbar.OptionSetWidth(40),
		progressbar.OptionClearOnFinish(), progressbar.OptionSetDescription("bench"), progressbar.OptionSetPredictTime(false))}
}

// set shows a share of 1.
func (p *progress) set(done float64) {
	if p.bar != nil {
		_ = p.bar.Set(int(1000 * min(done, 0.999))) // a bar that cannot be drawn is no reason to stop
	}
}

// clear removes the bar.
func (p *progress) clear() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}

// printResult prints a result: one JSON object for scripts, or a page for people.
func printResult(w io.Writer, r *bench.Result, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(r)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "%s\t%s\n", r.Mode, settingsLine(r))
	fmt.Fprintf(t, "rate\t%s %s/s\t(%s in %.2f s)\n", thousands(r.PerSecond), r.Unit, thousands(float64(r.Count)), r.Seconds)
	for _, kind := range slices.Sorted(maps.Keys(r.Latency)) {
		l := r.Latency[kind]
		fmt.Fprintf(t, "%s\tp50 %.2f ms, p90 %.2f, p99 %.2f, max %.2f\n", kind, l.P50, l.P90, l.P99, l.Max)
	}
	if m := r.Memory; m != nil {
		fmt.Fprintf(t, "memory\t%.1f KB per session (%.1f MB before, %.1f MB with %d)\n",
			m.PerSession/1000, float64(m.Before)/1e6, float64(m.After)/1e6, m.Sessions)
		if m.Goroutines != nil {
			fmt.Fprintf(t, "goroutines\t%.2f per session\n", *m.Goroutines)
		}
	}
	if r.GatewayCPU > 0 {
		fmt.Fprintf(t, "gateway\t%.1f us of CPU per %s\n", r.GatewayCPU, singular(r.Unit))
	}
	fmt.Fprintf(t, "steal\t%.1f %%\n", r.Steal)
	if ref := r.Reference; ref != nil {
		fmt.Fprintf(t, "reference\t%s: %s %s before, %s after\n", ref.What, figure(ref.Before), ref.Unit, figure(ref.After))
		fmt.Fprintf(t, "ratio\t%.2f\n", ref.Ratio)
	}
	for _, c := range r.Checks {
		fmt.Fprintf(t, "checked\t%s\n", c)
	}
	for _, v := range r.Violations {
		fmt.Fprintf(t, "VIOLATION\t%s\n", v)
	}
	return t.Flush()
}

// singular is the word for one of what a unit counts.
func singular(unit string) string {
	if s, ok := strings.CutSuffix(unit, "ies"); ok {
		return s + "y"
	}
	return strings.TrimSuffix(unit, "s")
}

// settingsLine is a result's settings in a line.
func settingsLine(r *bench.Result) string {
	parts := []string{r.Dialect}
	for _, name := range slices.Sorted(maps.Keys(r.Settings)) {
		parts = append(parts, fmt.Sprintf("%s %v", strings.ReplaceAll(name, "_", " "), r.Settings[name]))
	}
	return strings.Join(parts, ", ")
}

// figure prints large numbers by thousands and small ones with decimals.
func figure(v float64) string {
	if v < 100 {
		return fmt.Sprintf("%.3f", v)
	}
	return thousands(v)
}

// thousands prints a number in groups of three digits.
func thousands(v float64) string {
	digits := fmt.Sprintf("%.0f", v)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
