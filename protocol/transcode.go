package protocol

import (
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/tinylib/msgp/msgp"
)

// maxTranscodeDepth is above every MaxDepth that may be set, so whatever was accepted can be transcoded.
const maxTranscodeDepth = 1024

// ErrMalformed says that bytes are not what their codec says.
var ErrMalformed = errors.New("malformed value")

// InexpressibleError says that a value cannot be said in the other codec.
type InexpressibleError struct {
	// Path leads to the value, such as ".x[2]"; "" is the whole.
	Path string
	// What is the value, such as "a binary value".
	What string
}

// Error names the path and what is there.
func (e *InexpressibleError) Error() string {
	if e.Path == "" {
		return e.What + " cannot be said in both JSON and MessagePack."
	}
	return e.Path + " holds " + e.What + ", which cannot be said in both JSON and MessagePack."
}

// other is the codec that c is not.
func (c Codec) other() Codec {
	if c == JSON {
		return MessagePack
	}
	return JSON
}

// String is the codec's name.
func (c Codec) String() string {
	if c == MessagePack {
		return "MessagePack"
	}
	return "JSON"
}

// Transcode appends the value in body, which is encoded in from, to dst in to, and returns the extended slice. What to
// cannot express is an *InexpressibleError that names its path: integers beyond 64 bits and lone surrogates of JSON,
// binary values, extension values, NaN, infinities and keys that are not strings of MessagePack. Bytes that are not
// valid in from are ErrMalformed. Numbers keep their kind: a float stays one, even when it is whole. After an error
// dst's content beyond its length is undefined.
func Transcode(dst, body []byte, from, to Codec) ([]byte, error) {
	t := transcoder{scanner: scanner{data: body, codec: from, maxDepth: maxTranscodeDepth}, out: dst, to: to}
	if from == to {
		t.skip()
	} else {
		t.value()
	}
	if t.cannot == "" {
		t.finish()
	}
	switch {
	case t.cannot != "":
		return dst, &InexpressibleError{Path: t.path, What: t.cannot}
	case t.failed():
		return dst, fmt.Errorf("transcode %s: %w: %s at byte %d", from, ErrMalformed, t.fault, t.faultAt)
	case from == to:
		return append(dst, body...), nil
	}
	return t.out, nil
}

// transcoder copies one value from one codec to the other.
type transcoder struct {
	scanner
	out []byte
	to  Codec
	// cannot says what the other codec cannot express, "" while there is nothing; path leads to it. The path is put
	// together on the way out, so that it costs nothing while all is well.
	cannot string
	path   string
}

// value copies a value; false ends the walk.
func (t *transcoder) value() bool {
	k := t.kind()
	switch k {
	case kindArray:
		return t.array()
	case kindObject:
		return t.object()
	case kindString:
		text := t.str()
		if !t.well() {
			return false
		}
		t.appendString(text)
		return true
	}
	start := t.pos
	if !t.skip() || !t.well() {
		return false
	}
	t.scalar(k, t.data[start:t.pos])
	return true
}

// well says whether all is well with what was just passed.
func (t *transcoder) well() bool {
	switch {
	case t.failed():
		return false
	case t.trouble&troubleNumber != 0:
		t.cannot = "a number beyond 64 bits"
	case t.trouble&troubleSurrogate != 0:
		t.cannot = "half of a surrogate pair"
	case t.trouble&troubleBinary != 0:
		t.cannot = "a binary value"
	case t.trouble&troubleExtension != 0:
		t.cannot = "an extension value"
	case t.trouble&troubleNaN != 0:
		t.cannot = "a float that is infinite or not a number"
	}
	return t.cannot == ""
}

func (t *transcoder) array() bool {
	at := t.open('[')
	n, it := 0, t.enter()
	for t.next(&it) {
		t.separate(n)
		if !t.value() {
			t.path = "[" + strconv.Itoa(n) + "]" + t.path
			return false
		}
		n++
	}
	t.close(at, n, ']')
	return !t.failed()
}

func (t *transcoder) object() bool {
	at := t.open('{')
	n, it := 0, t.enter()
	for {
		key, ok := t.objectKey(&it)
		if !ok {
			break
		}
		t.separate(n)
		t.appendString(key)
		if t.to == JSON {
			t.out = append(t.out, ':')
		}
		if !t.well() || !t.value() {
			t.path = pathKey(key) + t.path
			return false
		}
		n++
	}
	if t.cannot != "" {
		return false
	}
	t.close(at, n, '}')
	return !t.failed()
}

// objectKey reads the next key. Keys of MessagePack may be of any type.
func (t *transcoder) objectKey(it *iterator) (key string, ok bool) {
	if t.codec == JSON {
		return t.jsonNextKey(it)
	}
	if !t.packNext(it) {
		return "", false
	}
	if k := t.packKind(); k != kindString && k != kindInvalid {
		t.cannot = "a key that is not a string"
		return "", false
	}
	key = t.packString()
	return key, !t.failed()
}

// pathKey is a key as a step of a path, readable and bounded.
func pathKey(key string) string {
	if len(key) > 64 {
		key = key[:64]
	}
	for i := range len(key) {
		c := key[i]
		if c != '_' && c != '-' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return "[" + strconv.Quote(key) + "]"
		}
	}
	return "." + key
}

// open begins a container and returns where its head is. How many elements it has shows at its end: until then a
// MessagePack head takes one byte.
func (t *transcoder) open(bracket byte) (at int) {
	at = len(t.out)
	t.out = append(t.out, bracket)
	return at
}

func (t *transcoder) separate(n int) {
	if t.to == JSON && n > 0 {
		t.out = append(t.out, ',')
	}
}

// close ends the container of n elements whose head is at at, and makes room for a longer head if it needs one.
func (t *transcoder) close(at, n int, bracket byte) {
	if t.to == JSON {
		t.out = append(t.out, bracket)
		return
	}
	longer := 0
	switch {
	case n > math.MaxUint16:
		longer = 4
	case n > 15:
		longer = 2
	}
	var room [4]byte
	t.out = append(t.out, room[:longer]...)
	copy(t.out[at+1+longer:], t.out[at+1:])
	if bracket == ']' {
		msgp.AppendArrayHeader(t.out[:at], uint32(n)) //nolint:gosec // a frame has fewer bytes than that
	} else {
		msgp.AppendMapHeader(t.out[:at], uint32(n)) //nolint:gosec // a frame has fewer bytes than that
	}
}

func (t *transcoder) appendString(text string) {
	if t.to == MessagePack {
		t.out = msgp.AppendString(t.out, text)
		return
	}
	t.out = appendJSONString(t.out, text)
}

// scalar copies a null, a boolean or a number.
func (t *transcoder) scalar(k kind, value []byte) {
	if t.to == MessagePack {
		t.out = appendPackScalar(t.out, k, value)
		return
	}
	t.out = appendJSONScalar(t.out, k, value)
}

func appendPackScalar(out []byte, k kind, text []byte) []byte {
	switch k {
	case kindNull:
		return msgp.AppendNil(out)
	case kindBool:
		return msgp.AppendBool(out, text[0] == 't')
	}
	for _, c := range text {
		if c == '.' || c|0x20 == 'e' {
			f, _ := strconv.ParseFloat(view(text), 64) // the scanner has seen that it fits
			return msgp.AppendFloat64(out, f)
		}
	}
	negative, positive, _ := parseInteger(text) // likewise
	if negative < 0 {
		return msgp.AppendInt64(out, negative)
	}
	return msgp.AppendUint64(out, positive)
}

func appendJSONScalar(out []byte, k kind, value []byte) []byte {
	switch {
	case k == kindNull:
		return append(out, "null"...)
	case k == kindBool:
		return strconv.AppendBool(out, value[0] == packTrue)
	case value[0] == packFloat32 || value[0] == packFloat64:
		return appendJSONFloat(out, readFloat(value))
	}
	negative, positive, _ := readInteger(value)
	if negative < 0 {
		return strconv.AppendInt(out, negative, 10)
	}
	return strconv.AppendUint(out, positive, 10)
}

// appendJSONFloat writes the shortest text that reads back as f, and as a float: 1 is "1.0".
func appendJSONFloat(out []byte, f float64) []byte {
	if size := math.Abs(f); size != 0 && (size < 1e-6 || size >= 1e21) {
		return strconv.AppendFloat(out, f, 'e', -1, 64)
	}
	from := len(out)
	out = strconv.AppendFloat(out, f, 'f', -1, 64)
	for _, c := range out[from:] {
		if c == '.' {
			return out
		}
	}
	return append(out, ".0"...)
}
