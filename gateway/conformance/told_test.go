package conformance

import (
	"context"

	"github.com/rs/zerolog"

	"github.com/nusku-messaging/nusku/gateway"
	"github.com/nusku-messaging/nusku/notifier"
	"github.com/nusku-messaging/nusku/protocol"
	"github.com/nusku-messaging/nusku/store"
	"github.com/nusku-messaging/nusku/store/pools"
)

// teller tells the gateway and the other ones what the store here did, like the program does.
type teller struct {
	gw    *gateway.Gateway
	hints *notifier.Notifier
}

func (o teller) Committed(batch []protocol.Committed) {
	o.gw.Committed(batch)
	for i := range batch {
		o.hints.Dirty(batch[i].QueueID, batch[i].First+int64(len(batch[i].Messages))-1)
	}
}

func (o teller) QueueChanged(key protocol.QueueKey, id int64) {
	o.gw.QueueChanged(key, id)
	o.hints.QueueChanged(key, id)
}

func (o teller) Released(_ protocol.QueueKey, id, seq int64) {
	o.gw.Released(id)
	o.hints.Released(id, seq)
}

func (o teller) SubscriptionsChanged(key protocol.QueueKey) { o.hints.SubscriptionsChanged(key) }

// hearer takes what other gateways tell.
type hearer struct {
	gw    *gateway.Gateway
	store *store.Store
	// connected gets one event whenever other gateways may be heard.
	connected chan struct{}
}

func (s hearer) Wake(id, head int64) { s.gw.Wake(id, head) }

func (s hearer) QueueChanged(key protocol.QueueKey, id int64) {
	s.store.HintQueueChanged(key)
	s.gw.QueueChanged(key, id)
}

func (s hearer) Released(id, seq int64) {
	s.store.HintReleased(id, seq)
	s.gw.Released(id)
}

func (s hearer) SubscriptionsChanged(key protocol.QueueKey) { s.gw.SubscriptionsChanged(key) }

func (s hearer) Reconnected() {
	select {
	case s.connected <- struct{}{}:
	default:
	}
}

// tellAll connects a pool with the node and with the other nodes of its database, as the program does, and waits until
// these are heard.
func (n *node) tellAll(p pools.Attached) {
	cfg := notifier.DefaultConfig()
	cfg.ListenURL = p.ListenURL
	heard := hearer{n.gw, p.Store, make(chan struct{}, 1)}
	hints, err := notifier.New(cfg, p.Store.GatewayID(), heard, zerolog.Nop())
	if err != nil {
		n.t.Fatal(err)
	}
	p.Store.SetObserver(teller{n.gw, hints})
	hints.Start()
	n.t.Cleanup(func() {
		// t's own context has ended by now.
		if err := hints.Stop(context.Background()); err != nil {
			n.t.Errorf("stop notifier: %v", err)
		}
	})
	<-heard.connected
}
