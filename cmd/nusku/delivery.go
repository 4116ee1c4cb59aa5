package main

import (
	"github.com/rs/zerolog"

	"github.com/nusku-messaging/nusku/cmd/internal/config"
	"github.com/nusku-messaging/nusku/gateway"
	"github.com/nusku-messaging/nusku/gateway/deliver"
)

// delivery is what delivers to webhooks and mailboxes: an engine for each pool, over endpoints that they share.
type delivery struct {
	cfg       deliver.Config
	options   deliver.Options
	webhook   *deliver.Webhook
	endpoints *deliver.Endpoints
}

// newDelivery returns the delivery by cfg, without an engine yet.
func newDelivery(cfg *config.Settings, log zerolog.Logger) (*delivery, error) {
	links := gateway.NewLinks(cfg.Gateway.Links)
	webhook, err := deliver.NewWebhook(&cfg.Delivery, release())
	if err != nil {
		return nil, err
	}
	sinks := map[string]deliver.Sink{"http": webhook, "https": webhook}
	if cfg.Mail.Enabled() {
		if sinks["mailto"], err = deliver.NewMail(cfg.Mail, links); err != nil {
			return nil, err
		}
	}
	return &delivery{
		cfg: cfg.Delivery, webhook: webhook, endpoints: deliver.NewEndpoints(cfg.Delivery, sinks, log),
		options: deliver.Options{RequireConfirmation: cfg.Gateway.Links.RequireConfirmation, Confirmer: links},
	}, nil
}

// engine returns an engine for a pool, which is not started.
func (d *delivery) engine(pool deliver.Backend, log zerolog.Logger) (*deliver.Engine, error) {
	options := d.options
	options.Log = log.With().Str("part", "delivery").Logger()
	return deliver.New(pool, d.endpoints, d.cfg, options)
}

// close ends the delivery. All engines must have been stopped.
func (d *delivery) close() {
	d.endpoints.Close()
	d.webhook.Close()
}
