package deliver_test

import (
	"fmt"
	"testing"

	"github.com/nusku-messaging/nusku/protocol"
	"github.com/nusku-messaging/nusku/store/storetest"
)

// BenchmarkDeliver measures deliveries over HTTP on this machine, from the real store to servers in this process: one
// subscription at one endpoint, whose requests follow one another, and one subscription each at a hundred.
func BenchmarkDeliver(b *testing.B) {
	for _, endpoints := range []int{1, 100} {
		b.Run(fmt.Sprintf("endpoints=%d", endpoints), func(b *testing.B) {
			n := startNode(b, storetest.URL(b), quickConfig())
			key := protocol.QueueKey{Project: "p", Name: "q"}
			hooks := make([]*webhook, endpoints)
			for i := range hooks {
				hooks[i] = newWebhook(b, nil)
				n.subscribe(b, key, hooks[i].URL+"/0")
			}
			each := max(b.N/endpoints, 1)
			b.ResetTimer()
			n.post(b, key, 1, each)
			for _, hook := range hooks {
				hook.await(b, "all messages", func() bool { return len(hook.got["/0"]) == each })
			}
			b.ReportMetric(float64(each*endpoints)/b.Elapsed().Seconds(), "deliveries/s")
		})
	}
}
