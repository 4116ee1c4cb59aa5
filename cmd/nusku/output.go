package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// output prints results: a table for people or a JSON object a line for scripts.
type output struct {
	w    io.Writer
	json bool
}

// rows prints a list. value is what scripts get of an item, row what people see of it under the header's columns.
func rows[T any](o *output, header string, items []T, value func(T) any, row func(T) []string) error {
	if o.json {
		for _, item := range items {
			if err := o.object(value(item)); err != nil {
				return err
			}
		}
		return nil
	}
	if len(items) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(o.w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, strings.ReplaceAll(header, " ", "\t"))
	for _, item := range items {
		fmt.Fprintln(table, strings.Join(row(item), "\t"))
	}
	return table.Flush()
}

// object prints one line of JSON.
func (o *output) object(v any) error {
	encoder := json.NewEncoder(o.w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// say prints value for scripts, or a sentence for people.
func (o *output) say(value any, format string, args ...any) error {
	if o.json {
		return o.object(value)
	}
	_, err := fmt.Fprintf(o.w, format+"\n", args...)
	return err
}

// clip makes JSON fit a column. Control characters never reach it: JSON escapes them.
func clip(raw json.RawMessage, width int) string {
	text := []rune(string(raw))
	if len(text) > width {
		return string(text[:width-1]) + "…"
	}
	return string(text)
}
