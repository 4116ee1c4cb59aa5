package protocol

import (
	"strconv"
	"unicode/utf8"

	"github.com/tinylib/msgp/msgp"
)

// Writer builds one frame's payload in either codec by the same calls: BeginMap, Key and a value for each of n pairs,
// EndMap; BeginArray, n values, EndArray. MessagePack takes the counts at their word, so they must be right. A Writer
// must not be used concurrently; the zero value with a Codec is ready. Buf holds what was written; a caller may put
// bytes into it first.
type Writer struct {
	Codec Codec
	Buf   []byte

	// comma says that the next value or key follows another one.
	comma bool
	err   error
}

// Reset makes the writer ready for a new payload that is appended to buf.
func (w *Writer) Reset(codec Codec, buf []byte) { *w = Writer{Codec: codec, Buf: buf} }

// Err is the first failure of Raw since the last Reset: a body that this codec cannot express was written as null.
func (w *Writer) Err() error { return w.err }

// next puts what belongs before a value or a key.
func (w *Writer) next() {
	if w.comma && w.Codec == JSON {
		w.Buf = append(w.Buf, ',')
	}
	w.comma = true
}

// BeginMap opens a map of n pairs.
func (w *Writer) BeginMap(n int) {
	w.next()
	w.comma = false
	if w.Codec == MessagePack {
		w.Buf = msgp.AppendMapHeader(w.Buf, uint32(n)) //nolint:gosec // counts of ours are small
		return
	}
	w.Buf = append(w.Buf, '{')
}

// Key writes the key of the pair whose value comes next. It must be plain ASCII without quotes: the wire's own words.
func (w *Writer) Key(k string) {
	w.next()
	w.comma = false
	if w.Codec == MessagePack {
		w.Buf = msgp.AppendString(w.Buf, k)
		return
	}
	w.Buf = append(w.Buf, '"')
	w.Buf = append(w.Buf, k...)
	w.Buf = append(w.Buf, '"', ':')
}

// EndMap closes a map.
func (w *Writer) EndMap() { w.end('}') }

// BeginArray opens an array of n values.
func (w *Writer) BeginArray(n int) {
	w.next()
	w.comma = false
	if w.Codec == MessagePack {
		w.Buf = msgp.AppendArrayHeader(w.Buf, uint32(n)) //nolint:gosec // counts of ours are small
		return
	}
	w.Buf = append(w.Buf, '[')
}

// EndArray closes an array.
func (w *Writer) EndArray() { w.end(']') }

func (w *Writer) end(bracket byte) {
	w.comma = true
	if w.Codec == JSON {
		w.Buf = append(w.Buf, bracket)
	}
}

// String writes a string. Bytes that are not UTF-8 become U+FFFD.
func (w *Writer) String(s string) {
	w.next()
	if w.Codec == JSON {
		w.Buf = appendJSONString(w.Buf, s)
		return
	}
	if !utf8.ValidString(s) {
		s = string([]rune(s))
	}
	w.Buf = msgp.AppendString(w.Buf, s)
}

// Int writes an integer.
func (w *Writer) Int(v int64) {
	w.next()
	if w.Codec == MessagePack {
		w.Buf = msgp.AppendInt64(w.Buf, v)
		return
	}
	w.Buf = strconv.AppendInt(w.Buf, v, 10)
}

// Bool writes a boolean.
func (w *Writer) Bool(v bool) {
	w.next()
	if w.Codec == MessagePack {
		w.Buf = msgp.AppendBool(w.Buf, v)
		return
	}
	w.Buf = strconv.AppendBool(w.Buf, v)
}

// Null writes null.
func (w *Writer) Null() {
	w.next()
	if w.Codec == MessagePack {
		w.Buf = msgp.AppendNil(w.Buf)
		return
	}
	w.Buf = append(w.Buf, "null"...)
}

// MessageID writes a message's id as a string.
func (w *Writer) MessageID(id MessageID) {
	w.next()
	var buf [40]byte
	text, _ := id.AppendText(buf[:0]) // it never fails
	if w.Codec == MessagePack {
		w.Buf = msgp.AppendStringFromBytes(w.Buf, text)
		return
	}
	w.Buf = append(w.Buf, '"')
	w.Buf = append(w.Buf, text...)
	w.Buf = append(w.Buf, '"')
}

// Raw writes a whole value that is encoded in codec: verbatim, or transcoded when this payload is of the other one.
// Stored bodies were checked to be expressible in both when they were posted; Err tells of one that is not.
func (w *Writer) Raw(codec Codec, body []byte) {
	if codec == w.Codec {
		w.next()
		w.Buf = append(w.Buf, body...)
		return
	}
	from := len(w.Buf)
	comma := w.comma
	w.next()
	out, err := Transcode(w.Buf, body, codec, w.Codec)
	if err == nil {
		w.Buf = out
		return
	}
	if w.err == nil {
		w.err = err
	}
	w.Buf, w.comma = w.Buf[:from], comma
	w.Null()
}

// RawJSON writes a JSON value, such as metadata or options.
func (w *Writer) RawJSON(value []byte) { w.Raw(JSON, value) }

const hexDigits = "0123456789abcdef"

// appendJSONString appends s as a JSON string. Only what must be is escaped.
func appendJSONString(b []byte, s string) []byte {
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				b = append(append(b, s[from:i]...), "\ufffd"...)
				from = i + 1
			}
			i += n
			continue
		}
		b = append(b, s[from:i]...)
		b = appendEscape(b, c)
		i++
		from = i
	}
	return append(append(b, s[from:]...), '"')
}

func appendEscape(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	}
	return append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xF])
}
