package gateway

import (
	"fmt"
	"sync"
	"testing"
	"unsafe"

	"github.com/nusku-messaging/nusku/protocol"
)

func TestStableKeysSurviveTheirFrame(t *testing.T) {
	t.Parallel()
	var cache keyCache
	frame := []byte("projectqueue")
	view := protocol.QueueKey{Project: unsafe.String(&frame[0], 7), Name: unsafe.String(&frame[7], 5)}
	first := cache.stable(view)
	again := cache.stable(view)
	copy(frame, "somebodyelse")
	want := protocol.QueueKey{Project: "project", Name: "queue"}
	if first != want || again != want {
		t.Errorf("keys changed with the frame: %q and %q", first, again)
	}
}

func TestStableKeysAreNotMixedUp(t *testing.T) {
	t.Parallel()
	var cache keyCache
	var work sync.WaitGroup
	for g := range 4 {
		work.Go(func() {
			for i := range 20_000 { // many more than there are slots
				key := protocol.QueueKey{Project: fmt.Sprint("p", g%2), Name: fmt.Sprint(i)}
				if got := cache.stable(key); got != key {
					t.Errorf("got %v for %v", got, key)
					return
				}
			}
		})
	}
	work.Wait()
}

func TestStableKeysOfHotQueuesAllocateNothing(t *testing.T) {
	var cache keyCache
	key := protocol.QueueKey{Project: "p", Name: "q"}
	cache.stable(key)
	if n := testing.AllocsPerRun(100, func() { cache.stable(key) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
