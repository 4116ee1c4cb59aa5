package main

import (
	"bytes"
	"os"
	"testing"
)

// The committed documents are what go generate would make of the tables.
func TestDocumentsAreCurrent(t *testing.T) {
	t.Parallel()
	for name, generate := range documents {
		want, err := generate()
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile("../../../protocol/spec/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is stale: run go generate ./protocol/spec", name)
		}
	}
}
