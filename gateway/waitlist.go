package gateway

import "container/heap"

// waitList is a list of waiters.
type waitList struct{ head, tail *waiter }

func (l *waitList) push(w *waiter) { l.after(l.tail, w) }

// insert puts a waiter where it belongs by its serial number. Who comes back is older than most, so the search begins
// in front.
func (l *waitList) insert(w *waiter) {
	if l.tail == nil || l.tail.serial < w.serial {
		l.push(w)
		return
	}
	at := l.head
	for at.serial < w.serial {
		at = at.next
	}
	l.after(at.prev, w)
}

// after puts w behind another one; nil is the front.
func (l *waitList) after(before, w *waiter) {
	w.list, w.prev = l, before
	if before == nil {
		w.next, l.head = l.head, w
	} else {
		w.next, before.next = before.next, w
	}
	if w.next == nil {
		l.tail = w
	} else {
		w.next.prev = w
	}
}

func (l *waitList) remove(w *waiter) {
	if w.prev == nil {
		l.head = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		l.tail = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.list, w.prev, w.next = nil, nil, nil
}

// waitHeap are parked waiters by the end of their wait. It implements heap.Interface.
type waitHeap []*waiter

func (x *waitHeap) add(w *waiter) { heap.Push(x, w) }

// remove takes a waiter out if it is there.
func (x *waitHeap) remove(w *waiter) {
	if w.heapIndex >= 0 {
		heap.Remove(x, w.heapIndex)
	}
}

func (x waitHeap) Len() int           { return len(x) }
func (x waitHeap) Less(i, j int) bool { return x[i].until < x[j].until }
func (x waitHeap) Swap(i, j int) {
	x[i], x[j] = x[j], x[i]
	x[i].heapIndex, x[j].heapIndex = i, j
}

// Push implements heap.Interface.
func (x *waitHeap) Push(v any) {
	w := v.(*waiter)
	w.heapIndex = len(*x)
	*x = append(*x, w)
}

// Pop implements heap.Interface.
func (x *waitHeap) Pop() any {
	old := *x
	w := old[len(old)-1]
	old[len(old)-1] = nil
	w.heapIndex = -1
	*x = old[:len(old)-1]
	return w
}
