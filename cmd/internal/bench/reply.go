package bench

import "bytes"

var (
	idKey       = []byte(`"id":`)
	textIDKey   = []byte(`"id":"`)
	statusKey   = []byte(`"status":`)
	idsKey      = []byte(`"message_ids":[`)
	messagesKey = []byte(`"messages":[`)
	claimIDKey  = []byte(`"claim_id":"`)
)

// digits reads the decimal number at the start of b; -1 if there is none.
func digits(b []byte) int64 {
	v, i := int64(0), 0
	for ; i < len(b) && b[i] >= '0' && b[i] <= '9'; i++ {
		v = v*10 + int64(b[i]-'0')
	}
	if i == 0 {
		return -1
	}
	return v
}

// numberAfter reads the number that follows the first key in b; -1 if there is none.
func numberAfter(b, key []byte) int64 {
	i := bytes.Index(b, key)
	if i < 0 {
		return -1
	}
	return digits(b[i+len(key):])
}

// status reads a reply's status. A request's echo has no such key.
func status(reply []byte) int { return int(numberAfter(reply, statusKey)) }

// slot reads the slot out of a compact reply's id.
func slot(reply []byte) int {
	id := numberAfter(reply[:min(len(reply), 40)], idKey)
	return int(id - idBase)
}

// messageNumber reads the number of the message whose body is in b; -1 if there is none.
func messageNumber(b []byte) int64 {
	n := numberAfter(b, numberKey)
	if n < numberBase {
		return -1
	}
	return n - numberBase
}

// countIDs counts the ids in a post's reply.
func countIDs(reply []byte) int {
	i := bytes.LastIndex(reply, idsKey)
	if i < 0 {
		return 0
	}
	ids := reply[i+len(idsKey):]
	if end := bytes.IndexByte(ids, ']'); end >= 0 {
		ids = ids[:end]
	}
	return bytes.Count(ids, []byte{'"'}) / 2
}

// text reads the string that starts at b, up to its closing quote. Ids hold no escapes.
func text(b []byte) []byte {
	end := bytes.IndexByte(b, '"')
	if end < 0 {
		return nil
	}
	return b[:end]
}

// eachMessage calls f with the id and the number of each message in a claim's reply.
func eachMessage(reply []byte, f func(id []byte, number int64)) {
	i := bytes.Index(reply, messagesKey)
	if i < 0 {
		return
	}
	b := reply[i+len(messagesKey):]
	for {
		i := bytes.Index(b, textIDKey)
		if i < 0 {
			return
		}
		b = b[i+len(textIDKey):]
		id := text(b)
		i = bytes.Index(b, numberKey)
		if i < 0 {
			f(id, -1)
			return
		}
		b = b[i:]
		f(id, messageNumber(b))
	}
}

// claimID reads the claim's id out of a claim's reply.
func claimID(reply []byte) []byte {
	i := bytes.Index(reply, claimIDKey)
	if i < 0 {
		return nil
	}
	return text(reply[i+len(claimIDKey):])
}
