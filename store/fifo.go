package store

// fifo is a queue of values. Its memory is reused once it was empty. The zero value is ready.
type fifo[T any] struct {
	items []T
	head  int
}

func (f *fifo[T]) len() int { return len(f.items) - f.head }

// all returns what is in the queue, first one first; it is valid until the next change.
func (f *fifo[T]) all() []T { return f.items[f.head:] }

func (f *fifo[T]) push(v T) { f.items = append(f.items, v) }

// front returns the first value; the queue must not be empty.
func (f *fifo[T]) front() *T { return &f.items[f.head] }

// pop takes the first value, if there is one.
func (f *fifo[T]) pop() (v T, ok bool) {
	if f.len() == 0 {
		return v, false
	}
	var none T
	v, f.items[f.head] = f.items[f.head], none // let go of what it points to
	f.head++
	switch {
	case f.head == len(f.items):
		f.items, f.head = f.items[:0], 0
	case f.head >= 64 && f.head > len(f.items)/2: // never empty, so never reset: move what is left to the start
		n := copy(f.items, f.items[f.head:])
		clear(f.items[n:])
		f.items, f.head = f.items[:n], 0
	}
	return v, true
}

// unpop puts values back in front, in their order.
func (f *fifo[T]) unpop(vs ...T) {
	if len(vs) <= f.head {
		f.head -= len(vs)
		copy(f.items[f.head:], vs)
		return
	}
	f.items = append(append(make([]T, 0, len(vs)+f.len()), vs...), f.all()...)
	f.head = 0
}

// keep drops the values for which it says false.
func (f *fifo[T]) keep(it func(T) bool) {
	kept := f.items[:0]
	for _, v := range f.all() {
		if it(v) {
			kept = append(kept, v)
		}
	}
	clear(f.items[len(kept):])
	f.items, f.head = kept, 0
}
