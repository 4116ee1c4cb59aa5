package protocol

import (
	"encoding/json"
	"strings"
)

// listenOption is the pool's option that says where a gateway can LISTEN.
const listenOption = "listen"

// ListenOption returns the URI that a pool's options, a JSON object or nil, have under "listen": a direct connection to the
// pool's database where its own URI goes through a connection pooler. It is "" where there is none.
func ListenOption(options []byte) string {
	uri, _ := readListen(options)
	return uri
}

// readListen is ListenOption; ok is false for something else than text.
func readListen(options []byte) (uri string, ok bool) {
	if options == nil {
		return "", true
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(options, &fields) != nil {
		return "", false
	}
	raw, has := fields[listenOption]
	if !has {
		return "", true
	}
	var text *string
	if json.Unmarshal(raw, &text) != nil || text == nil {
		return "", false
	}
	return *text, true
}

// checkListen checks the form of that option, as checkPoolURI does with a pool's URI.
func checkListen(options []byte) *Error {
	uri, ok := readListen(options)
	switch {
	case !ok:
		return errListenType
	case len(uri) > maxPoolURI:
		return errURILength("options.listen", maxPoolURI)
	case strings.IndexByte(uri, 0) >= 0:
		return errFieldNUL("options.listen")
	}
	return nil
}

// ShownOptions is a pool's options, a JSON object or nil, without the password of ListenOption, for answers.
func ShownOptions(options []byte) []byte {
	if options == nil {
		return []byte("{}")
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(options, &fields) != nil {
		return []byte("{}")
	}
	if _, has := fields[listenOption]; !has {
		return options
	}
	fields[listenOption], _ = json.Marshal(ShownURI(ListenOption(options))) // text can always be encoded
	shown, err := json.Marshal(fields)
	if err != nil {
		return []byte("{}")
	}
	return shown
}
