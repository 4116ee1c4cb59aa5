package gateway

import (
	"context"
	"errors"

	"github.com/nusku-messaging/nusku/protocol"
)

// startPoint is where a subscriber begins that does not begin at its queue's head.
type startPoint struct {
	// cursor is the number behind which it begins.
	cursor int64
	// ended says that the number is of a queue of that name that is gone. The subscriber is told, and gets all of the one
	// that has the name now.
	ended bool
}

// startBehind finds the place that a marker names: a message's id, "beginning", or "now" (also ""), for which it returns
// nil. head is the queue's, read before.
func (g *Gateway) startBehind(ctx context.Context, key protocol.QueueKey, head protocol.Head, marker string) (*startPoint, error) {
	switch marker {
	case "", protocol.FromNow:
		return nil, nil
	case protocol.FromBeginning:
		return &startPoint{}, nil
	}
	id, err := protocol.ParseMessageID(marker)
	if err != nil {
		return nil, errMarker("The marker is not the id of a message.")
	}
	if id.Queue != head.QueueID {
		return g.startOfGone(ctx, head, id)
	}
	n := id.N
	if id.Inbox {
		n, err = g.backend.MessageNumber(ctx, key, id)
		if errors.Is(err, protocol.ErrNoMessage) {
			return nil, errMarker("The marker is the id of a message that is not due yet, or long gone.")
		}
		if err != nil {
			return nil, err
		}
	}
	if n > head.Last {
		return nil, errMarker("The marker is the id of no message of this queue.")
	}
	return &startPoint{cursor: n}, nil
}

// startOfGone is for a marker of another queue: one that had this name before, else it is refused.
func (g *Gateway) startOfGone(ctx context.Context, head protocol.Head, id protocol.MessageID) (*startPoint, error) {
	heads, err := g.backend.Heads(ctx, []int64{id.Queue})
	if err != nil {
		return nil, err
	}
	if _, exists := heads[id.Queue]; exists || id.Queue > head.QueueID {
		return nil, errMarker("The marker is the id of no message of this queue.")
	}
	n := id.N
	if id.Inbox {
		n = 0 // another count than that of the messages
	}
	return &startPoint{cursor: n, ended: true}, nil
}

// marker is how clients know the place; head is the queue's.
func (at *startPoint) marker(head protocol.Head) string {
	switch {
	case at == nil:
		return headMarker(head)
	case at.cursor == 0 || at.ended:
		return markerBeginning
	}
	return protocol.MessageID{Queue: head.QueueID, N: at.cursor}.String()
}

func errMarker(text string) *protocol.Error {
	return &protocol.Error{Status: 400, Kind: protocol.KindAction, Code: "marker", Exception: text}
}
