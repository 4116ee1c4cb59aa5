package deliver

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

func TestBudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(10)
		if err := b.take(t.Context(), 6); err != nil {
			t.Fatal(err)
		}
		order := make(chan int, 3)
		for i, size := range []int{7, 1} { // the second would fit, but comes second
			go func() {
				if err := b.take(t.Context(), size); err != nil {
					t.Error(err)
				}
				order <- i
			}()
			synctest.Wait()
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		gaveUp := make(chan error)
		go func() { gaveUp <- b.take(ctx, 2) }()
		synctest.Wait()
		cause := errors.New("cause")
		cancel(cause)
		if err := <-gaveUp; !errors.Is(err, cause) {
			t.Error(err)
		}
		if len(order) != 0 {
			t.Error("more than there is was given")
		}
		b.give(3)
		first := <-order
		b.give(1)
		if second := <-order; first != 0 || second != 1 {
			t.Errorf("order %d %d", first, second)
		}
		b.give(10)
		b.give(-20) // larger than was asked for
		go func() { gaveUp <- b.take(t.Context(), 10) }()
		b.give(19) // one too few
		synctest.Wait()
		b.give(1)
		if err := <-gaveUp; err != nil {
			t.Error(err)
		}
		if b.left != 0 || b.waiting.Len() != 0 {
			t.Errorf("%d left, %d waiting", b.left, b.waiting.Len())
		}
	})
}
