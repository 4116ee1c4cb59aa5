package deliver

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// receiver is a webhook's server. It remembers what it has answered with 2xx, in order.
type receiver struct {
	*httptest.Server
	// answer decides about request number n (from 1) and may write the answer; 0 stands for that.
	answer func(n int, w http.ResponseWriter, r *http.Request) int

	mu      sync.Mutex
	n       int
	taken   []taken
	changed chan struct{}
}

// taken is a request.
type taken struct {
	path   string
	header http.Header
	body   string
}

// newReceiver starts a receiver; without answer it takes everything.
func newReceiver(t testing.TB, answer func(n int, w http.ResponseWriter, r *http.Request) int) *receiver {
	t.Helper()
	v := &receiver{answer: answer, changed: make(chan struct{})}
	v.Server = httptest.NewServer(v)
	t.Cleanup(v.Close)
	return v
}

func (v *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	v.mu.Lock()
	v.n++
	n := v.n
	v.touch()
	v.mu.Unlock()
	status := http.StatusNoContent
	if v.answer != nil {
		status = v.answer(n, w, r)
	}
	if status >= 200 && status <= 299 || status == 0 {
		v.mu.Lock()
		v.taken = append(v.taken, taken{path: r.URL.RequestURI(), header: r.Header, body: string(body)})
		v.touch()
		v.mu.Unlock()
	}
	if status != 0 {
		w.WriteHeader(status)
	}
}

// touch requires mu.
func (v *receiver) touch() {
	close(v.changed)
	v.changed = make(chan struct{})
}

// await returns what was taken when ok says that it is enough; ok is called with the lock held.
func (v *receiver) await(t testing.TB, what string, ok func() bool) []taken {
	t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		v.mu.Lock()
		is, changed, got := ok(), v.changed, v.taken
		v.mu.Unlock()
		if is {
			return got
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("waited in vain: %s; %d requests, %d taken", what, v.n, len(got))
		}
	}
}

// awaitTaken waits for n requests that were taken.
func (v *receiver) awaitTaken(t testing.TB, n int) []taken {
	t.Helper()
	return v.await(t, "requests", func() bool { return len(v.taken) >= n })
}
