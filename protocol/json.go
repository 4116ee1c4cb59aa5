package protocol

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"unicode/utf8"
)

// The faults of JSON text, in the words of the server whose clients we inherit.
const (
	faultValue     = "Expecting value"
	faultName      = "Expecting property name enclosed in double quotes"
	faultColon     = "Expecting ':' delimiter"
	faultComma     = "Expecting ',' delimiter"
	faultString    = "Unterminated string starting at"
	faultControl   = "Invalid control character at"
	faultEscape    = "Invalid \\escape"
	faultHexEscape = "Invalid \\uXXXX escape"
	faultUTF8      = "Invalid UTF-8 at"
)

// jsonPeek skips white space and returns the next byte, 0 at the end.
func (s *scanner) jsonPeek() byte {
	for s.pos < len(s.data) {
		c := s.data[s.pos]
		if c > ' ' || c != ' ' && c != '\n' && c != '\r' && c != '\t' {
			return c
		}
		s.pos++
	}
	return 0
}

func (s *scanner) jsonKind() kind {
	switch c := s.jsonPeek(); {
	case c == '"':
		return kindString
	case c == '{':
		return kindObject
	case c == '[':
		return kindArray
	case c == '-' || '0' <= c && c <= '9':
		return kindNumber
	case c == 't' || c == 'f':
		return kindBool
	case c == 'n':
		return kindNull
	}
	return kindInvalid
}

func (s *scanner) jsonSkip() bool {
	switch c := s.jsonPeek(); {
	case c == '"':
		_, ok := s.jsonSkipString()
		return ok
	case c == '{':
		return s.jsonSkipObject()
	case c == '[':
		return s.jsonSkipArray()
	case c == '-' || '0' <= c && c <= '9':
		_, ok := s.jsonNumber()
		return ok
	case c == 't':
		return s.jsonLiteral("true")
	case c == 'f':
		return s.jsonLiteral("false")
	case c == 'n':
		return s.jsonLiteral("null")
	}
	return s.fail(faultValue, s.pos)
}

func (s *scanner) jsonLiteral(word string) bool {
	if len(s.data)-s.pos < len(word) || string(s.data[s.pos:s.pos+len(word)]) != word {
		return s.fail(faultValue, s.pos)
	}
	s.pos += len(word)
	return true
}

func (s *scanner) jsonSkipObject() bool {
	it := s.enter()
	for s.jsonNextName(&it) {
		if _, ok := s.jsonSkipString(); !ok || !s.jsonColon() || !s.jsonSkip() {
			return false
		}
	}
	return !s.failed()
}

func (s *scanner) jsonSkipArray() bool {
	it := s.enter()
	for s.jsonNext(&it, ']') {
		if !s.jsonSkip() {
			return false
		}
	}
	return !s.failed()
}

// jsonNext moves to the next element of a container that ends with end; false past the end or after a fault.
func (s *scanner) jsonNext(it *iterator, end byte) bool {
	if s.failed() {
		return false
	}
	c := s.jsonPeek()
	switch {
	case c == end:
		s.pos++
		s.depth--
		return false
	case it.first:
		it.first = false
		return true
	case c != ',':
		return s.fail(faultComma, s.pos)
	}
	s.pos++
	return true
}

// jsonNextName moves to the quote of an object's next key.
func (s *scanner) jsonNextName(it *iterator) bool {
	if !s.jsonNext(it, '}') {
		return false
	}
	return s.jsonPeek() == '"' || s.fail(faultName, s.pos)
}

func (s *scanner) jsonColon() bool {
	if s.jsonPeek() != ':' {
		return s.fail(faultColon, s.pos)
	}
	s.pos++
	return true
}

func (s *scanner) jsonNextKey(it *iterator) (key string, ok bool) {
	if !s.jsonNextName(it) {
		return "", false
	}
	key = s.jsonString()
	return key, !s.failed() && s.jsonColon()
}

// Bit tricks on eight bytes at a time.
const (
	lows  = 0x0101010101010101
	highs = 0x8080808080808080
)

// jsonStop marks in w the bytes at which plain text of a string ends: a quote, a backslash, a control character or the
// start of a multi-byte character. Only the lowest mark is exact: a borrow may mark bytes above it.
func jsonStop(w uint64) uint64 {
	quote := w ^ lows*'"'
	slash := w ^ lows*'\\'
	return (((quote - lows) &^ quote) | ((slash - lows) &^ slash) | ((w - lows*' ') &^ w) | w) & highs
}

// jsonSkipString passes a string whose opening quote is at the position, and says whether it holds escapes.
func (s *scanner) jsonSkipString() (escaped, ok bool) {
	start := s.pos
	data, i := s.data, s.pos+1
	for {
		for i+8 <= len(data) {
			if stop := jsonStop(binary.LittleEndian.Uint64(data[i:])); stop != 0 {
				i += bits.TrailingZeros64(stop) >> 3
				break
			}
			i += 8
		}
		if i >= len(data) {
			return escaped, s.fail(faultString, start)
		}
		switch c := data[i]; {
		case c == '"':
			s.pos = i + 1
			return escaped, true
		case c == '\\':
			escaped = true
			n := s.jsonEscape(i)
			if n == 0 {
				return escaped, false
			}
			i += n
		case c < ' ':
			return escaped, s.fail(faultControl, i)
		case c < utf8.RuneSelf:
			i++
		default:
			r, n := utf8.DecodeRune(data[i:])
			if r == utf8.RuneError && n == 1 {
				return escaped, s.fail(faultUTF8, i)
			}
			i += n
		}
	}
}

// jsonEscape checks the escape at i and returns its length, with both halves of a surrogate pair; 0 after a fault.
func (s *scanner) jsonEscape(i int) int {
	if i+1 >= len(s.data) {
		s.fail(faultString, i)
		return 0
	}
	switch s.data[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		r, ok := hex4(s.data[i+2:])
		if !ok {
			s.fail(faultHexEscape, i+1)
			return 0
		}
		if r < 0xD800 || r > 0xDFFF {
			return 6
		}
		if r < 0xDC00 && lowSurrogate(s.data[i+6:]) != 0 {
			return 12
		}
		s.trouble |= troubleSurrogate
		return 6
	}
	s.fail(faultEscape, i)
	return 0
}

// hex4 reads four hexadecimal digits.
func hex4(b []byte) (r rune, ok bool) {
	if len(b) < 4 {
		return 0, false
	}
	for _, c := range b[:4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// lowSurrogate reads an escaped low surrogate, 0 if there is none.
func lowSurrogate(b []byte) rune {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0
	}
	r, ok := hex4(b[2:])
	if !ok || r < 0xDC00 || r > 0xDFFF {
		return 0
	}
	return r
}

// jsonString reads the string at the position. A lone surrogate becomes U+FFFD and is noted as trouble.
func (s *scanner) jsonString() string {
	start := s.pos + 1
	escaped, ok := s.jsonSkipString()
	if !ok {
		return ""
	}
	text := s.data[start : s.pos-1]
	if !escaped {
		return view(text)
	}
	from := len(s.scratch)
	s.scratch = appendUnescaped(s.scratch, text)
	return view(s.scratch[from:])
}

// appendUnescaped resolves the escapes of a string that was validated.
func appendUnescaped(dst, text []byte) []byte {
	for i := 0; i < len(text); {
		if text[i] != '\\' {
			dst = append(dst, text[i])
			i++
			continue
		}
		c := text[i+1]
		i += 2
		switch c {
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'u':
			r, _ := hex4(text[i:])
			i += 4
			if 0xD800 <= r && r < 0xDC00 {
				if low := lowSurrogate(text[i:]); low != 0 {
					r = (r-0xD800)<<10 | (low - 0xDC00) + 0x10000
					i += 6
				}
			}
			dst = utf8.AppendRune(dst, r)
			continue
		}
		dst = append(dst, c)
	}
	return dst
}

// jsonNumber passes a number and says whether it is written as an integer.
func (s *scanner) jsonNumber() (integer, ok bool) {
	data, start, i := s.data, s.pos, s.pos
	if data[i] == '-' {
		i++
	}
	whole := i
	i = skipDigits(data, i)
	switch {
	case i == whole:
		return false, s.fail(faultValue, start)
	case data[whole] == '0':
		i = whole + 1 // digits after a leading zero are not part of the number
	}
	integer = true
	if i < len(data) && data[i] == '.' {
		from := i + 1
		if i = skipDigits(data, from); i == from {
			return false, s.fail(faultValue, start)
		}
		integer = false
	}
	exponent := i < len(data) && data[i]|0x20 == 'e'
	if exponent {
		i++
		if i < len(data) && (data[i] == '+' || data[i] == '-') {
			i++
		}
		from := i
		if i = skipDigits(data, from); i == from {
			return false, s.fail(faultValue, start)
		}
		integer = false
	}
	s.pos = i
	// Most numbers are seen to fit without a closer look.
	if exponent || i-start > 18 {
		s.jsonNumberTrouble(data[start:i], integer)
	}
	return integer, true
}

func skipDigits(data []byte, i int) int {
	for i < len(data) && '0' <= data[i] && data[i] <= '9' {
		i++
	}
	return i
}

// jsonNumberTrouble notes a number that MessagePack has no room for.
func (s *scanner) jsonNumberTrouble(number []byte, integer bool) {
	if integer {
		_, positive, ok := parseInteger(number)
		if !ok {
			s.trouble |= troubleNumber
		}
		s.bigInteger = s.bigInteger || !ok || positive > math.MaxInt64
		return
	}
	if _, err := strconv.ParseFloat(view(number), 64); err != nil {
		s.trouble |= troubleNumber
	}
}

// parseInteger reads an integer as MessagePack can hold it: negative ones as int64, others as uint64.
func parseInteger(number []byte) (negative int64, positive uint64, ok bool) {
	var err error
	if number[0] == '-' {
		negative, err = strconv.ParseInt(view(number), 10, 64)
	} else {
		positive, err = strconv.ParseUint(view(number), 10, 64)
	}
	return negative, positive, err == nil
}

func (s *scanner) jsonInteger() (v int64, ok bool) {
	start := s.pos
	integer, ok := s.jsonNumber()
	if !ok || !integer {
		return 0, false
	}
	v, err := strconv.ParseInt(view(s.data[start:s.pos]), 10, 64)
	if err != nil { // it is a number, so it can only be out of range
		v = math.MaxInt64
		if s.data[start] == '-' {
			v = math.MinInt64
		}
	}
	return v, true
}

// describeJSONFault tells people where the text goes wrong: lines and columns are counted in characters, from 1.
func (s *scanner) describeJSONFault() string {
	before := s.data[:min(s.faultAt, len(s.data))]
	line, column := 1, 1
	for _, c := range before {
		switch {
		case c == '\n':
			line, column = line+1, 1
		case c&0xC0 != 0x80: // not the continuation of a character
			column++
		}
	}
	return fmt.Sprintf("JSONDecodeError: %s: line %d column %d (char %d)", s.fault, line, column, utf8.RuneCount(before))
}
