package gateway

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/nusku-messaging/nusku/protocol"
)

// checksum is the checksum of a message's body as Zaqar has it: "MD5:" and the MD5, in hex, of the body as Python's
// json.dumps spells it, so that a client in any language can compare.
func checksum(codec protocol.Codec, body []byte) string {
	text, err := protocol.Transcode(nil, body, codec, protocol.JSON)
	if err != nil {
		return ""
	}
	sum := md5.Sum(appendPythonJSON(nil, text))
	return "MD5:" + hex.EncodeToString(sum[:])
}

// appendPythonJSON appends valid JSON as Python's json.dumps writes it: a space after each comma and colon, everything
// beyond ASCII escaped, floats by their shortest repr.
func appendPythonJSON(dst, text []byte) []byte {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	// Each open container: whether it is an object, and how many keys and values it has had.
	type container struct {
		object bool
		n      int
	}
	var open []container
	for {
		token, err := d.Token()
		if err != nil {
			return dst // the end, for the text is valid
		}
		if delim, ok := token.(json.Delim); ok && (delim == '}' || delim == ']') {
			open = open[:len(open)-1]
			dst = append(dst, byte(delim))
			continue
		}
		if len(open) > 0 {
			in := &open[len(open)-1]
			switch {
			case in.object && in.n%2 == 1:
				dst = append(dst, ": "...)
			case in.n > 0:
				dst = append(dst, ", "...)
			}
			in.n++
		}
		if delim, ok := token.(json.Delim); ok {
			open = append(open, container{object: delim == '{'})
			dst = append(dst, byte(delim))
			continue
		}
		dst = appendPythonScalar(dst, token)
	}
}

func appendPythonScalar(dst []byte, token json.Token) []byte {
	switch v := token.(type) {
	case string:
		return appendPythonString(dst, v)
	case json.Number:
		return appendPythonNumber(dst, v.String())
	case bool:
		return strconv.AppendBool(dst, v)
	default:
		return append(dst, "null"...)
	}
}

// pythonEscapes are the characters for which Python has a short escape.
var pythonEscapes = map[rune]string{
	'"': `\"`, '\\': `\\`, '\n': `\n`, '\r': `\r`, '\t': `\t`, '\b': `\b`, '\f': `\f`,
}

func appendPythonString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for _, r := range s {
		switch short := pythonEscapes[r]; {
		case short != "":
			dst = append(dst, short...)
		case r >= ' ' && r <= '~':
			dst = append(dst, byte(r))
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			dst = fmt.Appendf(dst, `\u%04x\u%04x`, high, low)
		default:
			dst = fmt.Appendf(dst, `\u%04x`, r)
		}
	}
	return append(dst, '"')
}

func appendPythonNumber(dst []byte, text string) []byte {
	if !strings.ContainsAny(text, ".eE") {
		if text == "-0" {
			text = "0"
		}
		return append(dst, text...)
	}
	f, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil && f > 0:
		return append(dst, "Infinity"...)
	case err != nil:
		return append(dst, "-Infinity"...)
	}
	if abs := math.Abs(f); abs != 0 && (abs < 1e-4 || abs >= 1e16) {
		return strconv.AppendFloat(dst, f, 'e', -1, 64)
	}
	start := len(dst)
	dst = strconv.AppendFloat(dst, f, 'f', -1, 64)
	if !bytes.ContainsRune(dst[start:], '.') {
		dst = append(dst, ".0"...)
	}
	return dst
}
