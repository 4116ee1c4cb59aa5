package protocol

// AppendNotification writes the payload that pushes one message of a queue to a subscriber, in w's codec. The extended
// dialect adds the message's id, the marker from which a subscriber who has seen it resumes, its age in seconds and, of
// a dead letter, where it came from and how often it was claimed there.
func AppendNotification(w *Writer, queue string, m *Message, extended bool) {
	w.comma = false
	n := 4
	if extended {
		n += 3
	}
	dead := extended && m.Origin != nil
	if dead {
		n += 2
	}
	w.BeginMap(n)
	w.Key("ttl")
	w.Int(int64(m.TTL))
	w.Key("body")
	w.Raw(m.Codec, m.Body)
	w.Key("Message_Type")
	w.String("Notification")
	w.Key("queue_name")
	w.String(queue)
	if extended {
		w.Key("id")
		w.MessageID(m.ID)
		w.Key("marker")
		w.MessageID(m.ID) // a marker is the id of the last message seen
		w.Key("age")
		w.Int(int64(m.Age))
	}
	if dead {
		w.Key("claim_count")
		w.Int(int64(m.ClaimCount))
		w.Key("origin")
		w.RawJSON(m.Origin)
	}
	w.EndMap()
}

// AppendGap writes the payload that tells a subscriber which messages it will never get, and why. It is the same in
// both dialects.
func AppendGap(w *Writer, queue string, g Gap) {
	w.comma = false
	w.BeginMap(3)
	w.Key("Message_Type")
	w.String("Gap")
	w.Key("queue_name")
	w.String(queue)
	w.Key("body")
	w.BeginMap(3)
	w.Key("from")
	w.Int(g.From)
	w.Key("to")
	w.Int(g.To)
	w.Key("reason")
	w.String(string(g.Reason))
	w.EndMap()
	w.EndMap()
}
