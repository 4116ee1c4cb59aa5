package main

import (
	"context"
	"fmt"

	"github.com/nusku-messaging/nusku/gateway"
	"github.com/nusku-messaging/nusku/gateway/deliver"
	"github.com/nusku-messaging/nusku/notifier"
	"github.com/nusku-messaging/nusku/protocol"
	"github.com/nusku-messaging/nusku/store"
	"github.com/nusku-messaging/nusku/store/pools"
)

// attach connects a pool that was opened with this gateway's subscribers and, by a notifier of its own, with the other
// gateways. The notifier outlives the store, so that they hear of its last commits.
func (n *node) attach(p pools.Attached) (pools.Attachment, error) {
	log := n.log.With().Str("pool", p.Name).Logger()
	cfg := n.cfg.Notifier
	cfg.ListenURL = p.ListenURL
	engine, err := n.delivery.engine(p.Store, log)
	if err != nil {
		return pools.Attachment{}, err
	}
	hints, err := notifier.New(cfg, p.Store.GatewayID(), remoteChanges{n.gateway, engine, p.Store},
		log.With().Str("part", "notifier").Logger())
	if err != nil {
		return pools.Attachment{}, err
	}
	p.Store.SetObserver(localChanges{n.gateway, engine, hints})
	hints.Start()
	engine.Start()
	n.raiseMemory(1)
	return pools.Attachment{Drain: engine.Stop, Detach: func(ctx context.Context) {
		if err := hints.Stop(ctx); err != nil {
			log.Warn().Err(fmt.Errorf("detach: %w", err)).Msg("the other gateways may not have heard of the last commits")
		}
		n.raiseMemory(-1)
	}}, nil
}

// localChanges tells this gateway's subscribers and the other gateways what the store here has done. It is the store's
// Observer.
type localChanges struct {
	gateway  *gateway.Gateway
	engine   *deliver.Engine
	notifier *notifier.Notifier
}

func (c localChanges) Committed(batch []protocol.Committed) {
	c.gateway.Committed(batch)
	c.engine.Committed(batch)
	for i := range batch {
		c.notifier.Dirty(batch[i].QueueID, batch[i].First+int64(len(batch[i].Messages))-1)
	}
}

func (c localChanges) QueueChanged(key protocol.QueueKey, queueID int64) {
	c.gateway.QueueChanged(key, queueID)
	c.engine.QueueChanged(key, queueID)
	c.notifier.QueueChanged(key, queueID)
}

// SubscriptionsChanged makes it a store.SubscriptionObserver.
func (c localChanges) SubscriptionsChanged(key protocol.QueueKey) {
	c.engine.SubscriptionsChanged(key)
	c.notifier.SubscriptionsChanged(key)
}

func (c localChanges) Released(_ protocol.QueueKey, queueID, seq int64) {
	c.gateway.Released(queueID)
	c.notifier.Released(queueID, seq)
}

// remoteChanges tells this gateway's subscribers and its store what other gateways have done. It is the notifier's Sink.
type remoteChanges struct {
	gateway *gateway.Gateway
	engine  *deliver.Engine
	store   *store.Store
}

func (c remoteChanges) Wake(queueID, head int64) {
	c.gateway.Wake(queueID, head)
	c.engine.Wake(queueID, head)
}

func (c remoteChanges) QueueChanged(key protocol.QueueKey, queueID int64) {
	c.store.HintQueueChanged(key)
	c.gateway.QueueChanged(key, queueID)
	c.engine.QueueChanged(key, queueID)
}

func (c remoteChanges) Released(queueID, seq int64) {
	c.store.HintReleased(queueID, seq)
	c.gateway.Released(queueID)
}

func (c remoteChanges) SubscriptionsChanged(key protocol.QueueKey) {
	c.gateway.SubscriptionsChanged(key)
	c.engine.SubscriptionsChanged(key)
}

func (c remoteChanges) Reconnected() {
	c.gateway.Reconnected()
	c.engine.Reconnected()
}
