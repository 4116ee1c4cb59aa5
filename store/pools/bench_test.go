package pools

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nusku-messaging/nusku/protocol"
)

// hot is what posts and claims go through.
type hot interface {
	Post(*protocol.Post)
	Claim(*protocol.ClaimOp)
}

const (
	benchWorkers = 64
	benchRound   = 300 * time.Millisecond
)

// rate runs an operation on benchWorkers goroutines for a round and returns how many a second there were.
func rate(do func(worker int)) float64 {
	var all sync.WaitGroup
	var mu sync.Mutex
	began, total := time.Now(), 0
	for worker := range benchWorkers {
		all.Go(func() {
			n := 0
			for time.Since(began) < benchRound {
				do(worker)
				n++
			}
			mu.Lock()
			defer mu.Unlock()
			total += n
		})
	}
	all.Wait()
	return float64(total) / time.Since(began).Seconds()
}

func benchPost(to hot, worker int) {
	done := make(waiter)
	to.Post(&protocol.Post{
		Queue: key(fmt.Sprint("bench", worker%8)), Waiter: done,
		Messages: []protocol.NewMessage{{Body: []byte(`"benchmark"`), TTL: 60}},
	})
	<-done
}

func benchClaim(to hot, worker int) {
	done := make(waiter)
	to.Claim(&protocol.ClaimOp{Queue: key(fmt.Sprint("bench", worker%8)), Limit: 1, TTL: 60, Grace: 60, Waiter: done})
	<-done
}

// BenchmarkHotPath compares posts and claims through the Router with those that go straight to the store of the same
// database, in turns: the median of the ratios is what the Router leaves.
func BenchmarkHotPath(b *testing.B) {
	for _, pools := range []int{0, 1} {
		for name, do := range map[string]func(hot, int){"post": benchPost, "claim": benchClaim} {
			b.Run(fmt.Sprintf("%s/other-pools=%d", name, pools), func(b *testing.B) {
				w := newWorld(b)
				r := w.router(slow)
				for i := range pools {
					w.pool(r, fmt.Sprint("p", i), 0)
				}
				for range 500 * benchWorkers / 8 {
					benchPost(r, 0)
				}
				var ratios []float64
				direct := func() float64 { return rate(func(worker int) { do(r.first, worker) }) }
				routed := func() float64 { return rate(func(worker int) { do(r, worker) }) }
				for b.Loop() { // whoever comes second finds a longer queue
					d, r := direct(), routed()
					r2, d2 := routed(), direct()
					ratios = append(ratios, (r+r2)/(d+d2))
				}
				slices.Sort(ratios)
				b.ReportMetric(ratios[len(ratios)/2], "routed/direct")
			})
		}
	}
}
