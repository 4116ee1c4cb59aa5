package bench

import (
	"bytes"
	"fmt"
	"strings"
)

const (
	// idBase is the id of slot 0. All ids have the same number of digits, so that they can be patched in place.
	idBase = 10_000_000
	// numberBase is the number of the first message, of a fixed number of digits for the same reason.
	numberBase = 1_000_000_000
)

// template is an encoded frame in which a request's id and its messages' numbers are patched.
type template struct {
	frame   []byte
	id      int // offset of the id's digits, -1 without
	numbers []int
}

// append appends the frame with the id of slot and the messages numbered from first on.
func (t *template) append(dst []byte, slot int, first int64) []byte {
	start := len(dst)
	dst = append(dst, t.frame...)
	if t.id >= 0 {
		putDigits(dst[start+t.id:], 8, idBase+int64(slot))
	}
	for i, at := range t.numbers {
		putDigits(dst[start+at:], 10, numberBase+first+int64(i))
	}
	return dst
}

// putDigits writes v in exactly n decimal digits.
func putDigits(b []byte, n int, v int64) {
	for i := n - 1; i >= 0; i-- {
		b[i] = byte('0' + v%10)
		v /= 10
	}
}

// dialect encodes requests as the run's dialect has them.
type dialect struct {
	zaqar             bool
	project, clientID string
}

// request is the text of a frame. Compact ones leave the headers to the session's defaults.
func (d dialect) request(action, body string) string {
	if d.zaqar {
		return fmt.Sprintf(`{"action":%q,"headers":{"Client-ID":%q,"X-Project-ID":%q},"body":%s}`, action, d.clientID, d.project, body)
	}
	return fmt.Sprintf(`{"action":%q,"id":%d,"body":%s}`, action, idBase, body)
}

// template makes a template of a request.
func (d dialect) template(action, body string) *template {
	payload := d.request(action, body)
	t := &template{frame: appendFrame(nil, opText, []byte(payload)), id: -1}
	header := len(t.frame) - len(payload)
	if !d.zaqar {
		t.id = header + strings.Index(payload, fmt.Sprint(idBase))
	}
	for at := 0; ; {
		next := bytes.Index(t.frame[at:], numberKey)
		if next < 0 {
			return t
		}
		at += next + len(numberKey)
		t.numbers = append(t.numbers, at)
	}
}

// post is the template of a post of n messages with bodies of size bytes.
func (d dialect) post(queue string, n, size int) *template {
	message := `{"body":` + messageBody(size) + `}`
	list := strings.Repeat(message+",", n)
	return d.template("message_post", fmt.Sprintf(`{"queue_name":%q,"messages":[%s]}`, queue, list[:len(list)-1]))
}

// numberKey stands before a message's number. It occurs nowhere else in frames.
var numberKey = []byte(`{"n":`)

// messageBody is a message's body of size bytes, with a number to be patched.
func messageBody(size int) string {
	body := fmt.Sprintf(`{"n":%d,"pad":""}`, int64(numberBase))
	pad := strings.Repeat("x", max(0, size-len(body)))
	return strings.Replace(body, `""`, `"`+pad+`"`, 1)
}
