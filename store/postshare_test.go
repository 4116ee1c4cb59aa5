package store

import (
	"fmt"
	"testing"

	"github.com/nusku-messaging/nusku/protocol"
)

// The project that posts most gets a quarter of a flush while others have something to flush, and all of it if none has.
func TestFlushIsShared(t *testing.T) {
	t.Parallel()
	s := &Store{cfg: DefaultConfig()}
	s.cfg.FlushRows = 100
	p := newPosts(s)
	add := func(project string, posts, rows int) {
		for range posts {
			key := protocol.QueueKey{Project: project, Name: "q"}
			p.add(&protocol.Post{Queue: key, Messages: make([]protocol.NewMessage, rows)})
		}
	}
	take := func() string {
		for _, ln := range p.lanes {
			ln.info = &queueInfo{} // as if each had just been looked up
		}
		var b batch
		p.take(&b)
		rows := map[string]int{}
		for _, pt := range b.parts {
			for _, w := range pt.posts {
				rows[pt.lane.key.Project] += w.rows
			}
		}
		p.finish(&b)
		return fmt.Sprint(rows)
	}
	add("much", 30, 10)
	add("little", 2, 1)
	for i, want := range []string{"map[little:2 much:30]", "map[much:100]", "map[much:100]", "map[much:70]", "map[]"} {
		if got := take(); got != want {
			t.Errorf("flush %d holds %s, want %s", i, got, want)
		}
	}
	// Posts that fill a flush each let go first what came meanwhile.
	add("much", 3, 120)
	take()
	add("little", 1, 1)
	for i, want := range []string{"map[little:1]", "map[much:120]", "map[much:120]", "map[]"} {
		if got := take(); got != want {
			t.Errorf("flush %d of large posts holds %s, want %s", i, got, want)
		}
	}
}
