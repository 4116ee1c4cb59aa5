package store

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Any history of a fifo is that of a slice.
func TestFifo(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var f fifo[int]
		var model []int
		next := 0
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				for range rapid.IntRange(1, 100).Draw(t, "n") {
					next++
					f.push(next)
					model = append(model, next)
				}
			},
			"pop": func(t *rapid.T) {
				for range rapid.IntRange(1, 100).Draw(t, "n") {
					v, ok := f.pop()
					if ok != (len(model) > 0) || ok && v != model[0] {
						t.Fatalf("popped %d, %v of %v", v, ok, model)
					}
					if ok {
						model = model[1:]
					}
				}
			},
			"unpop": func(t *rapid.T) {
				back := make([]int, rapid.IntRange(0, 100).Draw(t, "n"))
				for i := range back {
					next++
					back[i] = next
				}
				f.unpop(back...)
				model = append(slices.Clone(back), model...)
			},
			"keep": func(t *rapid.T) {
				n := rapid.IntRange(1, 4).Draw(t, "n")
				f.keep(func(v int) bool { return v%n == 0 })
				model = slices.DeleteFunc(slices.Clone(model), func(v int) bool { return v%n != 0 })
			},
			"": func(t *rapid.T) {
				if !slices.Equal(f.all(), model) || f.len() != len(model) {
					t.Fatalf("%v, want %v", f.all(), model)
				}
				if len(model) > 0 && *f.front() != model[0] {
					t.Fatalf("front %d of %v", *f.front(), model)
				}
			},
		})
	})
}
