package gateway

import (
	"testing"
	"testing/synctest"
)

// Whoever waits for room gets it in the order of arrival, one for each that finds room.
func TestBudgetFIFO(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &budget{max: 10}
		b.add(12)
		var order []int
		for i := range 3 {
			go func() {
				if b.room(nil, nil, nil) {
					order = append(order, i)
					b.add(10)
				}
			}()
			synctest.Wait()
		}
		if len(order) != 0 {
			t.Fatalf("%v got in while the budget was used up", order)
		}
		b.add(-2)
		for i := range 3 {
			b.add(-10)
			synctest.Wait()
			if len(order) != i+1 || order[i] != i {
				t.Fatalf("after %d rounds: %v", i+1, order)
			}
		}
	})
}

// A waiter that leaves hands its turn on.
func TestBudgetWaiterLeaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &budget{max: 10}
		b.add(10)
		gone := make(chan struct{})
		var first, second bool
		go func() { first = b.room(gone, nil, nil) }()
		synctest.Wait()
		go func() { second = b.room(nil, nil, nil) }()
		synctest.Wait()
		close(gone)
		synctest.Wait()
		b.add(-10)
		synctest.Wait()
		if first || !second {
			t.Errorf("first got in: %v, second got in: %v", first, second)
		}
		if b.waiters.Load() != 0 {
			t.Errorf("%d are still counted as waiting", b.waiters.Load())
		}
	})
}

func TestBufferClasses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ n, want int }{
		{0, 1 << 10}, {1 << 10, 1 << 10}, {1<<10 + 1, 2 << 10}, {2<<10 + 1, 4 << 10}, {16<<10 + 1, 32 << 10},
		{1 << 20, 1 << 20}, {1<<20 + 1, 1<<20 + 1},
	} {
		buf := newBuffer(tt.n)
		if cap(buf.b) < tt.want || len(buf.b) != 0 {
			t.Errorf("newBuffer(%d): len %d, cap %d, want cap %d", tt.n, len(buf.b), cap(buf.b), tt.want)
		}
	}
	// A buffer that was appended to beyond its class goes to a pool whose promise it keeps.
	odd := &buffer{b: make([]byte, 5000)}
	odd.free()
	for range 100 {
		for _, n := range []int{4 << 10, 16 << 10} {
			if buf := newBuffer(n); cap(buf.b) != n {
				t.Fatalf("newBuffer(%d) gave %d bytes", n, cap(buf.b))
			}
		}
	}
}
