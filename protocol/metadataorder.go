package protocol

import (
	"slices"
	"strconv"
	"strings"
)

// reserved are the reserved attributes that REST shows of every queue, set or not, in its order.
var reserved = []string{
	"_max_messages_post_size", "_default_message_ttl", "_default_message_delay", "_dead_letter_queue",
	"_dead_letter_queue_messages_ttl", "_max_claim_count", "_enable_encrypt_messages",
}

// isReserved says whether the attribute has a default, so that it is there even when it is not set.
func isReserved(key string) bool { return slices.Contains(reserved, key) }

// reservedDefault is the value of a reserved attribute that is not set.
func reservedDefault(name string, lim *Limits) []byte {
	switch name {
	case "_max_messages_post_size":
		return strconv.AppendInt(nil, int64(lim.MaxPostBytes), 10)
	case "_default_message_ttl":
		return strconv.AppendInt(nil, int64(lim.DefaultMessageTTL), 10)
	case "_default_message_delay":
		return []byte("0")
	case "_enable_encrypt_messages":
		return []byte("false")
	}
	return []byte("null")
}

// AppendFullMetadata appends a queue's metadata, a JSON object, as REST shows it: the client's attributes in the client's
// order, then the reserved ones that are not set with their defaults. A reserved attribute that is set to nothing (null,
// 0, false, "") is shown with its default, too.
func AppendFullMetadata(dst, metadata []byte, lim *Limits) []byte {
	o, ok := readOrdered(metadata, lim)
	if !ok {
		o = &orderedObject{index: map[string]int{}}
	}
	for _, name := range reserved {
		if at, set := o.index[name]; !set || isNothing(o.attributes[at].value) {
			o.set(name, reservedDefault(name, lim))
		}
	}
	return o.append(dst)
}

// isNothing says whether Python takes a JSON value for false.
func isNothing(value []byte) bool {
	switch text := strings.TrimSpace(string(value)); text {
	case "null", "false", `""`, "{}", "[]":
		return true
	default:
		f, err := strconv.ParseFloat(text, 64)
		return err == nil && f == 0
	}
}

// orderedObject is a JSON object whose members keep their order and their spelling.
type orderedObject struct {
	attributes []attribute
	// index says where a key is.
	index map[string]int
}

type attribute struct {
	key   string
	value []byte
	gone  bool
}

// readOrdered reads a JSON object; ok is false for anything else, and for one that says a key twice.
func readOrdered(object []byte, lim *Limits) (o *orderedObject, ok bool) {
	o = &orderedObject{index: map[string]int{}}
	s := scanner{data: object, codec: JSON, maxDepth: lim.MaxDepth}
	if s.kind() != kindObject {
		return o, false
	}
	it := s.enter()
	for {
		key, more := s.nextKey(&it)
		if !more {
			return o, s.finish()
		}
		if _, twice := o.index[key]; twice {
			return o, false
		}
		s.kind()
		start := s.pos
		s.skip()
		o.set(key, s.data[start:s.pos:s.pos])
	}
}

// set sets an attribute where it is, or as the last one.
func (o *orderedObject) set(key string, value []byte) {
	if at, there := o.index[key]; there {
		o.attributes[at].value = value
		return
	}
	o.index[key] = len(o.attributes)
	o.attributes = append(o.attributes, attribute{key: key, value: value})
}

// append appends the object as JSON.
func (o *orderedObject) append(dst []byte) []byte {
	dst = append(dst, '{')
	first := true
	for _, a := range o.attributes {
		if a.gone {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = appendJSONString(dst, a.key)
		dst = append(append(dst, ':'), a.value...)
	}
	return append(dst, '}')
}
