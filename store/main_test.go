package store

import (
	"context"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/nusku-messaging/nusku/store/storetest"
)

func TestMain(m *testing.M) {
	storetest.Main(m, func(url string) error {
		// There is no test yet whose context it could be.
		return Migrate(context.Background(), url, zerolog.Nop())
	})
}

var nopLog = zerolog.Nop()

const (
	testPoll = 20 * time.Millisecond // where the test waits for what polling finds
	longPoll = time.Minute           // where it must not be polling that finds it
)
