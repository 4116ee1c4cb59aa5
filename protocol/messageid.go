package protocol

import (
	"errors"
	"strconv"
)

// MessageID is the opaque id of a message. It names the queue by its number, so an id of a queue that was
// deleted and made again is not an id of the new one.
type MessageID struct {
	Queue int64
	// N is the message's number in the queue or, with Inbox, its number in the inbox.
	N int64
	// Inbox marks an id that was given out before the message had a number in its queue.
	Inbox bool
}

// ErrMessageID says that a text is not a message id.
var ErrMessageID = errors.New("not a message id")

// AppendText appends the id's text to b. It never fails; the error is for encoding.TextAppender.
func (id MessageID) AppendText(b []byte) ([]byte, error) {
	b = strconv.AppendInt(b, id.Queue, 16)
	b = append(b, '-')
	if id.Inbox {
		b = append(b, 'i')
	}
	return strconv.AppendInt(b, id.N, 16), nil
}

// String returns the id's text.
func (id MessageID) String() string {
	b, _ := id.AppendText(make([]byte, 0, 34))
	return string(b)
}

// IsZero says whether id is the zero value, which is the id of no message.
func (id MessageID) IsZero() bool { return id == MessageID{} }

// ParseMessageID reads what AppendText wrote. Every id has one spelling: others are refused with ErrMessageID,
// so that two texts never name one message.
func ParseMessageID(s string) (MessageID, error) {
	var id MessageID
	queue, rest, ok := parseHex(s)
	if !ok || rest == "" || rest[0] != '-' {
		return id, ErrMessageID
	}
	rest = rest[1:]
	if rest != "" && rest[0] == 'i' {
		id.Inbox, rest = true, rest[1:]
	}
	n, rest, ok := parseHex(rest)
	if !ok || rest != "" {
		return MessageID{}, ErrMessageID
	}
	id.Queue, id.N = queue, n
	return id, nil
}

// parseHex reads a positive lower-case hexadecimal number without leading zeros.
func parseHex(s string) (n int64, rest string, ok bool) {
	i := 0
	for ; i < len(s) && i < 16; i++ {
		c := s[i]
		switch {
		case c >= '0' && c <= '9':
			n = n<<4 | int64(c-'0')
		case c >= 'a' && c <= 'f':
			n = n<<4 | int64(c-'a'+10)
		default:
			return n, s[i:], i > 0 && s[0] != '0' && n > 0
		}
	}
	return n, s[i:], i > 0 && s[0] != '0' && n > 0
}
