package main

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBodies(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args        []string
		lines, text bool
		stdin       string
		want        []string
	}{
		"JSON and text":     {args: []string{`{"n": 5}`, "5", `"5"`, "hello", "null", "{oops"}, want: []string{`{"n": 5}`, "5", `"5"`, `"hello"`, "null", `"{oops"`}},
		"all text":          {args: []string{"5", "a<b"}, text: true, want: []string{`"5"`, `"a<b"`}},
		"input":             {stdin: "two\nlines\n", want: []string{`"two\nlines"`}},
		"input as JSON":     {args: []string{"-"}, stdin: "[1,\n 2]\n", want: []string{"[1,\n 2]"}},
		"input, empty":      {args: []string{"-"}, want: []string{`""`}},
		"lines":             {lines: true, stdin: "1\n\nx\n{\"a\":1}", want: []string{"1", `"x"`, `{"a":1}`}},
		"a dash among them": {args: []string{"-", "x"}, want: []string{`"-"`, `"x"`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			err := eachBody(test.args, test.lines, test.text, strings.NewReader(test.stdin), func(b json.RawMessage) error {
				got = append(got, string(b))
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLinesWithBodies(t *testing.T) {
	t.Parallel()
	err := eachBody([]string{"x"}, true, false, strings.NewReader(""), func(json.RawMessage) error { return nil })
	if _, ok := errors.AsType[usageError](err); !ok {
		t.Errorf("error %v, want one of usage", err)
	}
}
