package pgserver

import (
	"errors"
	"sync"
	"testing"
)

// More databases of the cluster are made once, keep their data, and are none of the cluster's own.
func TestExtraDatabases(t *testing.T) {
	t.Parallel()
	s := start(t, Config{DataDir: tempDir(t)})
	if _, err := s.ExtraDatabase(t.Context(), "never-made", false); err != nil {
		t.Error(err)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if url, err := s.ExtraDatabase(t.Context(), `a-"b`, true); err != nil || url != s.DatabaseURL(`a-"b`) {
				t.Errorf("got %q, %v", url, err)
			}
		})
	}
	all.Wait()
	url := s.DatabaseURL(`a-"b`)
	query(t, url, "CREATE TABLE kept AS SELECT 'data'::text AS what")
	if _, err := s.ExtraDatabase(t.Context(), `a-"b`, true); err != nil {
		t.Error(err)
	}
	if got := query(t, url, "SELECT what FROM kept"); got != "data" {
		t.Errorf("made again, it has %q", got)
	}
	for _, name := range reserved {
		if _, err := s.ExtraDatabase(t.Context(), name, true); !errors.Is(err, ErrReserved) {
			t.Errorf("%s was given away", name)
		}
	}
}
