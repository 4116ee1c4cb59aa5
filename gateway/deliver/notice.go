package deliver

import (
	"fmt"
	"strconv"

	"github.com/nusku-messaging/nusku/protocol"
)

// Notice is what a subscriber is told: exactly one of Message, Gap and Confirmation is set.
type Notice struct {
	// ID is the same whenever the notice is sent again: what subscribers tell repetitions by (the header webhook-id).
	ID string
	// Message is a message of the queue.
	Message *protocol.Message
	// Gap tells of messages that the subscriber will never get.
	Gap *protocol.Gap
	// Confirmation asks the subscriber whether it wants the messages.
	Confirmation *Confirmation

	// upto is the number up to which everything is settled once the notice is.
	upto int64
}

// Confirmation is a request for confirmation.
type Confirmation struct {
	// Body is what a webhook is sent: a JSON object.
	Body []byte
	// Page is the address of the page on which a person confirms: what a mail leads to.
	Page string
	// Expires says until when, as a client is shown it.
	Expires string
}

// Confirmer makes the content of requests for confirmation.
type Confirmer interface {
	// Confirmation returns a notice with Confirmation set. Its ID may be left empty. It is safe for concurrent use.
	Confirmation(d *protocol.Durable) (Notice, error)
}

func messageNotice(m *protocol.Message) Notice {
	return Notice{ID: m.ID.String(), Message: m, upto: m.Seq}
}

func gapNotice(queueID int64, g *protocol.Gap) Notice {
	id := "gap-" + strconv.FormatInt(queueID, 16) + "-" + strconv.FormatInt(g.From, 16) + "-" + strconv.FormatInt(g.To, 16)
	return Notice{ID: id, Gap: g, upto: g.To}
}

// confirmationID names the request for confirmation that belongs to a version of a subscription, so that a repeated ask
// is not taken for a repetition of the first.
func confirmationID(d *protocol.Durable) string {
	return fmt.Sprintf("confirm-%s-%x", d.ID, d.Version)
}

// notices puts the messages and gaps of a page into their order.
func notices(queueID int64, page *protocol.FeedPage) []Notice {
	list := make([]Notice, 0, len(page.Messages)+len(page.Gaps))
	gaps := page.Gaps
	for i := range page.Messages {
		m := &page.Messages[i]
		for len(gaps) > 0 && gaps[0].From < m.Seq {
			list = append(list, gapNotice(queueID, &gaps[0]))
			gaps = gaps[1:]
		}
		list = append(list, messageNotice(m))
	}
	for i := range gaps {
		list = append(list, gapNotice(queueID, &gaps[i]))
	}
	return list
}
