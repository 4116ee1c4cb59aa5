package protocol

import "time"

// AppendReply writes a whole reply payload to w, in the codec of the request: body writes the value of "body". A
// request with an id is answered compactly and without an echo; any other in Zaqar's way, with the request's own bytes
// in it.
func AppendReply(w *Writer, req *Request, status int, body func(*Writer)) {
	w.Codec, w.comma = req.Codec, false
	if req.ID != nil {
		appendCompactReply(w, req, status, body)
		return
	}
	w.BeginMap(3)
	w.Key("request")
	appendEcho(w, req)
	w.Key("body")
	body(w)
	appendStatus(w, status)
	w.EndMap()
}

func appendCompactReply(w *Writer, req *Request, status int, body func(*Writer)) {
	w.BeginMap(4)
	w.Key("id")
	w.Raw(req.Codec, req.ID)
	w.Key("action")
	appendRawOr(w, req, req.RawAction, (*Writer).Null)
	appendStatus(w, status)
	w.Key("body")
	body(w)
	w.EndMap()
}

func appendStatus(w *Writer, status int) {
	w.Key("headers")
	w.BeginMap(1)
	w.Key("status")
	w.Int(int64(status))
	w.EndMap()
}

// appendEcho writes the request as it was received. Of authenticate it says the action only, so that tokens do not come
// back; so does Zaqar.
func appendEcho(w *Writer, req *Request) {
	body, headers := req.RawBody, req.RawHeaders
	if req.Action != nil && req.Action.plainEcho {
		body, headers = nil, nil
	}
	w.BeginMap(4)
	w.Key("action")
	appendRawOr(w, req, req.RawAction, (*Writer).Null)
	w.Key("body")
	appendRawOr(w, req, body, emptyMap)
	w.Key("headers")
	appendRawOr(w, req, headers, emptyMap)
	w.Key("api")
	w.String("v2")
	w.EndMap()
}

func appendRawOr(w *Writer, req *Request, raw []byte, absent func(*Writer)) {
	if raw == nil {
		absent(w)
		return
	}
	w.Raw(req.Codec, raw)
}

func emptyMap(w *Writer) {
	w.BeginMap(0)
	w.EndMap()
}

// AppendError writes the reply payload that tells e.
func AppendError(w *Writer, req *Request, e *Error) {
	AppendReply(w, req, e.Status, func(w *Writer) { appendErrorBody(w, e) })
}

func appendErrorBody(w *Writer, e *Error) {
	n := 1 + e.Hints()
	if e.Kind == KindAction {
		n++
	}
	w.BeginMap(n)
	if e.Kind == KindAction {
		w.Key("exception")
		w.String(e.Exception)
	}
	w.Key("error")
	if e.Text == "" {
		w.Null()
	} else {
		w.String(e.Text)
	}
	e.WriteHints(w)
	w.EndMap()
}

// RetrySeconds is RetryAfter as it is sent: in whole seconds, rounded up.
func (e *Error) RetrySeconds() int64 { return int64((e.RetryAfter + time.Second - 1) / time.Second) }

// Hints is how many members WriteHints writes.
func (e *Error) Hints() (n int) {
	if e.RetryAfter > 0 {
		n++
	}
	if e.Outcome != "" {
		n++
	}
	return n
}

// WriteHints writes when to try again and what became of the change, where those are set, into the object that tells the
// error: it is the same in frames and in REST.
func (e *Error) WriteHints(w *Writer) {
	if e.RetryAfter > 0 {
		w.Key("retry_after")
		w.Int(e.RetrySeconds())
	}
	if e.Outcome != "" {
		w.Key("outcome")
		w.String(e.Outcome)
	}
}
