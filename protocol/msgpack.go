package protocol

import (
	"math"
	"unicode/utf8"

	"github.com/tinylib/msgp/msgp"
)

// First bytes of MessagePack values (the specification's "formats").
const (
	packNil      = 0xc0
	packNever    = 0xc1
	packFalse    = 0xc2
	packTrue     = 0xc3
	packBin8     = 0xc4
	packExt8     = 0xc7
	packFloat32  = 0xca
	packFloat64  = 0xcb
	packUint8    = 0xcc
	packInt8     = 0xd0
	packFixExt1  = 0xd4
	packStr8     = 0xd9
	packArray16  = 0xdc
	packMap16    = 0xde
	packNegative = 0xe0
)

const (
	faultPackShort  = "ValueError: Unpack failed: incomplete input"
	faultPackFormat = "FormatError: "
	faultPackUTF8   = "UnicodeDecodeError: invalid UTF-8"
	faultPackKey    = "ValueError: map keys must be strings"
)

func (s *scanner) packKind() kind {
	if s.pos >= len(s.data) {
		return kindInvalid
	}
	switch c := s.data[s.pos]; {
	case c < 0x80 || c >= packNegative:
		return kindNumber
	case c < 0x90:
		return kindObject
	case c < 0xa0:
		return kindArray
	case c < packNil || packStr8 <= c && c < packArray16:
		return kindString
	case c == packNil:
		return kindNull
	case c == packFalse || c == packTrue:
		return kindBool
	case packFloat32 <= c && c < packFixExt1:
		return kindNumber
	case c >= packMap16:
		return kindObject
	case c >= packArray16:
		return kindArray
	case c == packNever:
		return kindInvalid
	}
	return kindOther
}

// packHeader passes the head of a value and returns how much follows it: bytes, or elements of an array or a map. What
// follows is checked to be there as far as the count alone can tell.
func (s *scanner) packHeader() (k kind, n int, ok bool) {
	k = s.packKind()
	if k == kindInvalid {
		if s.pos < len(s.data) {
			return k, 0, s.fail(faultPackFormat, s.pos)
		}
		return k, 0, s.fail(faultPackShort, s.pos)
	}
	size, n := packLength(s.data[s.pos])
	if size > 0 {
		if len(s.data)-s.pos-1 < size {
			return k, 0, s.fail(faultPackShort, s.pos)
		}
		length := uint64(0)
		for _, b := range s.data[s.pos+1 : s.pos+1+size] {
			length = length<<8 | uint64(b)
		}
		n += int(length) //nolint:gosec // at most 32 bits
	}
	s.pos += 1 + size
	// Every element has a byte at least, so a count beyond the frame needs no walk to be refused.
	if n > len(s.data)-s.pos {
		return k, 0, s.fail(faultPackShort, s.pos)
	}
	return k, n, true
}

// packLength says how many bytes after the first hold a value's length, and what to add to that length. Without such
// bytes the second result is the length itself.
func packLength(c byte) (size, n int) {
	switch {
	case c < 0x80 || c >= packNegative || packNil <= c && c <= packTrue:
		return 0, 0
	case c < 0xa0:
		return 0, int(c & 0x0f)
	case c < packNil:
		return 0, int(c & 0x1f)
	case c < packExt8: // bin 8, 16, 32
		return 1 << (c - packBin8), 0
	case c < packFloat32: // ext 8, 16, 32: the type's byte follows the length
		return 1 << (c - packExt8), 1
	case c == packFloat32:
		return 0, 4
	case c == packFloat64:
		return 0, 8
	case c < packFixExt1: // uint and int 8, 16, 32, 64
		return 0, 1 << ((c - packUint8) & 3)
	case c < packStr8: // fixext 1, 2, 4, 8, 16
		return 0, 1<<(c-packFixExt1) + 1
	case c < packArray16: // str 8, 16, 32
		return 1 << (c - packStr8), 0
	default: // array 16, 32; map 16, 32
		return 2 << (c & 1), 0
	}
}

func (s *scanner) packSkip() bool {
	start := s.pos
	switch s.packKind() {
	case kindString:
		s.packString()
		return !s.failed()
	case kindArray:
		it := s.enter()
		for s.packNext(&it) {
			if !s.packSkip() {
				return false
			}
		}
		return !s.failed()
	case kindObject:
		it := s.enter()
		for s.packNext(&it) {
			if s.packKind() != kindString {
				s.trouble |= troubleKey
			}
			// The key, then its value.
			if !s.packSkip() {
				return false
			}
			if !s.packSkip() {
				return false
			}
		}
		return !s.failed()
	}
	k, n, ok := s.packHeader()
	if !ok {
		return false
	}
	s.pos += n
	s.packTrouble(k, start)
	return true
}

// packTrouble notes a scalar that JSON has no word for.
func (s *scanner) packTrouble(k kind, start int) {
	switch c := s.data[start]; {
	case k == kindOther && packBin8 <= c && c < packExt8:
		s.trouble |= troubleBinary
	case k == kindOther:
		s.trouble |= troubleExtension
	case c == packFloat32 || c == packFloat64:
		if f := readFloat(s.data[start:s.pos]); math.IsNaN(f) || math.IsInf(f, 0) {
			s.trouble |= troubleNaN
		}
	}
}

// packNext moves to the next element of an array or the next key of a map.
func (s *scanner) packNext(it *iterator) bool {
	if s.failed() {
		return false
	}
	if it.left == 0 {
		s.depth--
		return false
	}
	it.left--
	return true
}

func (s *scanner) packNextKey(it *iterator) (key string, ok bool) {
	if !s.packNext(it) {
		return "", false
	}
	if k := s.packKind(); k != kindString && k != kindInvalid {
		return "", s.fail(faultPackKey, s.pos)
	}
	key = s.packString()
	return key, !s.failed()
}

func (s *scanner) packString() string {
	_, n, ok := s.packHeader()
	if !ok {
		return ""
	}
	text := s.data[s.pos : s.pos+n]
	if !utf8.Valid(text) {
		s.fail(faultPackUTF8, s.pos)
		return ""
	}
	s.pos += n
	return view(text)
}

func (s *scanner) packInteger() (v int64, ok bool) {
	start := s.pos
	if !s.packSkip() {
		return 0, false
	}
	negative, positive, ok := readInteger(s.data[start:s.pos])
	switch {
	case !ok:
		return 0, false
	case negative < 0:
		return negative, true
	case positive > math.MaxInt64:
		return math.MaxInt64, true
	}
	return int64(positive), true
}

// readInteger reads an encoded integer; it is not ok for floats.
func readInteger(number []byte) (negative int64, positive uint64, ok bool) {
	if v, _, err := msgp.ReadUint64Bytes(number); err == nil {
		return 0, v, true
	}
	v, _, err := msgp.ReadInt64Bytes(number)
	return v, 0, err == nil
}

// readFloat reads an encoded float of either size.
func readFloat(number []byte) float64 {
	if number[0] == packFloat32 {
		f, _, _ := msgp.ReadFloat32Bytes(number)
		return float64(f)
	}
	f, _, _ := msgp.ReadFloat64Bytes(number)
	return f
}
