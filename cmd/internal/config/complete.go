package config

import (
	"github.com/nusku-messaging/nusku/store/pgserver"
)

// complete fills in what depends on other settings.
func (s *Settings) complete() error {
	s.Store.DefaultMessageTTL = s.Gateway.Limits.DefaultMessageTTL
	s.UseDatabase(s.DatabaseURL)
	if !s.Embedded() || s.Postgres.DataDir != "" {
		return nil
	}
	_, err := pgserver.DefaultDataDir()
	return err
}

// UseDatabase points everything at the database url: the one that was set, or the embedded one once it runs.
func (s *Settings) UseDatabase(url string) {
	s.Store.DatabaseURL = url
	s.Notifier.ListenURL = url
	if s.ListenDatabaseURL != "" {
		s.Notifier.ListenURL = s.ListenDatabaseURL
	}
}
