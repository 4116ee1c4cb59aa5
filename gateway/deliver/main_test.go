package deliver_test

import (
	"context"
	"testing"

	"github.com/rs/zerolog"

	"github.com/nusku-messaging/nusku/store"
	"github.com/nusku-messaging/nusku/store/storetest"
)

func TestMain(m *testing.M) {
	storetest.Main(m, func(url string) error {
		// There is no test yet whose context it could be.
		return store.Migrate(context.Background(), url, zerolog.Nop())
	})
}
