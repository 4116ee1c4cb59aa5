package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// bodyHelp is the rule by which arguments become message bodies.
const bodyHelp = "A body that is valid JSON is sent as that JSON value: 5 is a number, '\"5\"' a string, '{\"n\": 5}' an object. " +
	"Anything else is sent as a string, so hello needs no quotes. With --text every body is a string. " +
	"Without a body, or with - as the only one, standard input is one message; with --lines each of its lines is one."

// body makes a message body of an argument or of input.
func body(text []byte, asText bool) json.RawMessage {
	if !asText && json.Valid(text) {
		return json.RawMessage(text)
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(string(text)) // a string always can be encoded
	return json.RawMessage(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}

// eachBody calls f with each body that the arguments or standard input give.
func eachBody(args []string, lines, asText bool, stdin io.Reader, f func(json.RawMessage) error) error {
	fromInput := len(args) == 0 || len(args) == 1 && args[0] == "-"
	switch {
	case !fromInput && lines:
		return usageError{errors.New("--lines reads standard input: leave the bodies out")}
	case !fromInput:
		for _, a := range args {
			if err := f(body([]byte(a), asText)); err != nil {
				return err
			}
		}
		return nil
	case lines:
		return eachLine(stdin, asText, f)
	}
	if file, ok := stdin.(*os.File); ok && len(args) == 0 && isTerminal(file) {
		return usageError{errors.New("no message body: give one, or - to type it (ended by Ctrl-D)")}
	}
	text, err := io.ReadAll(stdin)
	if err != nil {
		return fmt.Errorf("standard input: %w", err)
	}
	return f(body(bytes.TrimSuffix(text, []byte("\n")), asText))
}

// eachLine calls f with each line but empty ones.
func eachLine(r io.Reader, asText bool, f func(json.RawMessage) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if len(lines.Bytes()) == 0 {
			continue
		}
		if err := f(body(bytes.Clone(lines.Bytes()), asText)); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("standard input: %w", err)
	}
	return nil
}
