package client

import (
	"encoding/json"
	"time"
)

// seconds is a duration as the wire has it: whole seconds.
type seconds int64

func (s seconds) duration() time.Duration { return time.Duration(s) * time.Second }

// inSeconds rounds d up, so that a duration above zero never becomes zero, which asks for the default.
func inSeconds(d time.Duration) seconds {
	return seconds((d + time.Second - 1) / time.Second)
}

// text is a string that may be null on the wire.
type text string

func (t *text) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*t = ""
		return nil
	}
	return json.Unmarshal(b, (*string)(t))
}
