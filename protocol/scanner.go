package protocol

import (
	"strconv"
	"unsafe"
)

// kind is the type of an encoded value as far as it can be told from its first byte.
type kind uint8

const (
	kindInvalid kind = iota // not the start of a value
	kindNull
	kindBool
	kindNumber
	kindString
	kindArray
	kindObject
	kindOther // what only MessagePack has: binary and extension values
)

// trouble is what one codec can say and the other cannot.
type trouble uint8

const (
	troubleNumber    trouble = 1 << iota // JSON: an integer beyond 64 bits, or a number beyond a double
	troubleSurrogate                     // JSON: an escaped surrogate without its other half
	troubleBinary                        // MessagePack: a binary value
	troubleExtension                     // MessagePack: an extension value
	troubleNaN                           // MessagePack: a float that is not a number or infinite
	troubleKey                           // MessagePack: a map key that is not a string
)

// scanner reads one frame of either codec from front to back and validates every byte that it passes. The first fault
// sticks: it moves the position to the end, and everything after it reports failure too. It does not allocate but for
// resolved escapes and faults.
type scanner struct {
	data  []byte
	pos   int
	codec Codec
	// depth is how many containers are open around pos.
	depth, maxDepth int
	// trouble collects what was passed that the other codec cannot express.
	trouble trouble
	// bigInteger says that an integer was passed that a signed one of 64 bits does not hold; JSON only.
	bigInteger bool
	// scratch takes strings whose escapes were resolved. Growing it leaves the strings handed out before intact.
	scratch []byte
	// fault describes what is wrong with the frame, "" while nothing is; faultAt is where.
	fault   string
	faultAt int
}

// iterator walks a container that enter opened.
type iterator struct {
	// left counts the elements to come; MessagePack only.
	left int
	// first says that no element was read yet; JSON only.
	first bool
}

// fail notes the first fault and returns false.
func (s *scanner) fail(fault string, at int) bool {
	if s.fault == "" {
		s.fault, s.faultAt = fault, at
	}
	s.pos = len(s.data)
	return false
}

func (s *scanner) failed() bool { return s.fault != "" }

// failDuplicate refuses a key that its object has already had.
func (s *scanner) failDuplicate(key string) {
	if len(key) > 64 {
		key = key[:64]
	}
	fault := "Duplicate key " + strconv.Quote(key)
	if s.codec == MessagePack {
		fault = "ValueError: " + fault
	}
	s.fail(fault, s.pos)
}

// kind tells the type of the value at the position, which moves past white space only.
func (s *scanner) kind() kind {
	if s.codec == MessagePack {
		return s.packKind()
	}
	return s.jsonKind()
}

// skip passes a whole value.
func (s *scanner) skip() bool {
	if s.codec == MessagePack {
		return s.packSkip()
	}
	return s.jsonSkip()
}

// str reads a string: the value at the position must be one. The result points into the frame or into scratch.
func (s *scanner) str() string {
	if s.codec == MessagePack {
		return s.packString()
	}
	return s.jsonString()
}

// integer reads a number: the value at the position must be one. Numbers that are not written as integers are not ok,
// and integers beyond 64 bits saturate.
func (s *scanner) integer() (v int64, ok bool) {
	if s.codec == MessagePack {
		return s.packInteger()
	}
	return s.jsonInteger()
}

// boolean reads a boolean: the value at the position must be one.
func (s *scanner) boolean() bool {
	var v bool
	if s.codec == MessagePack {
		v = s.data[s.pos] == packTrue
	} else {
		v = s.data[s.pos] == 't'
	}
	s.skip()
	return v
}

// enter opens the array or object at the position, which must be one.
func (s *scanner) enter() (it iterator) {
	if s.depth++; s.depth > s.maxDepth {
		s.failDepth()
		return it
	}
	if s.codec == MessagePack {
		_, it.left, _ = s.packHeader()
		return it
	}
	s.pos++
	it.first = true
	return it
}

func (s *scanner) failDepth() bool {
	if s.codec == MessagePack {
		return s.fail("StackError: nested too deeply", s.pos)
	}
	return s.fail("Nested too deeply", s.pos)
}

// next moves to the next element of an array. It is false at the end, which it passes, and after a fault.
func (s *scanner) next(it *iterator) bool {
	if s.codec == MessagePack {
		return s.packNext(it)
	}
	return s.jsonNext(it, ']')
}

// nextKey reads the next key of an object and moves to its value. It is false at the end, which it passes, and after a
// fault.
func (s *scanner) nextKey(it *iterator) (key string, ok bool) {
	if s.codec == MessagePack {
		return s.packNextKey(it)
	}
	return s.jsonNextKey(it)
}

// finish checks that nothing follows the frame's value.
func (s *scanner) finish() bool {
	if s.failed() {
		return false
	}
	if s.codec == MessagePack {
		return s.pos == len(s.data) || s.fail("ExtraData: unpack(b) received extra data.", s.pos)
	}
	s.jsonPeek()
	return s.pos == len(s.data) || s.fail("Extra data", s.pos)
}

// view is the bytes as a string without a copy: valid as long as nobody writes to them.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// keySet notices when an object says a key twice. The zero value is empty.
type keySet struct {
	n    int
	few  [8]string
	many map[string]struct{}
}

// add says whether the key is new.
func (k *keySet) add(key string) bool {
	if k.many != nil {
		_, seen := k.many[key]
		k.many[key] = struct{}{}
		return !seen
	}
	for _, seen := range k.few[:k.n] {
		if seen == key {
			return false
		}
	}
	if k.n < len(k.few) {
		k.few[k.n] = key
		k.n++
		return true
	}
	// Comparing with each would be quadratic, and the object is a stranger's.
	k.many = make(map[string]struct{}, 4*k.n)
	for _, seen := range k.few {
		k.many[seen] = struct{}{}
	}
	k.many[key] = struct{}{}
	return true
}
