package main

import (
	"context"
	"fmt"

	"github.com/nusku-messaging/nusku/protocol/client"
)

// subscriptionCmd is `nusku subscription`.
type subscriptionCmd struct {
	Create  subscriptionCreateCmd  `cmd:"" help:"Have messages sent to a webhook or a mail address."`
	List    subscriptionListCmd    `cmd:"" help:"List a queue's subscriptions."`
	Get     subscriptionGetCmd     `cmd:"" help:"Print a subscription."`
	Update  subscriptionUpdateCmd  `cmd:"" help:"Change where a subscription delivers, how long it lives, or its options."`
	Confirm subscriptionConfirmCmd `cmd:"" help:"Say that a subscriber wants the messages, or not."`
	Secret  subscriptionSecretCmd  `cmd:"" help:"Print the secrets that sign what a webhook is sent, or make a new one."`
	Delete  subscriptionDeleteCmd  `cmd:"" help:"End subscriptions."`
	Dead    deadListCmd            `cmd:"" help:"List what could not be delivered."`
	Resend  deadResendCmd          `cmd:"" help:"Send again what could not be delivered."`
	Discard deadDiscardCmd         `cmd:"" help:"Forget what could not be delivered."`
}

// Help is what --help says below the usage.
func (*subscriptionCmd) Help() string {
	return "For example:\n\nnusku subscription create jobs https://example.com/hook --ttl=24h\n\n" +
		"nusku subscription list jobs\n\n" +
		"To see messages here, as they are posted, there is `nusku subscribe`."
}

type subscriptionCreateCmd struct {
	clientFlags
	Queue      string   `arg:"" help:"The queue's name, or topic:NAME."`
	Subscriber string   `arg:"" help:"Where to: https://…, http://… or mailto:…"`
	TTL        timeSpan `name:"ttl" placeholder:"TIME" help:"How long the subscription lives; by default as the gateway says."`
	Options    string   `placeholder:"JSON" help:"A JSON object, like '{\"_retry_policy\": {\"retry_backoff_function\": \"exponential\"}}'."`
}

// Run stores the subscription.
func (k *subscriptionCreateCmd) Run(g *globals) error {
	options, err := jsonObject("--options", k.Options)
	if err != nil {
		return err
	}
	return k.with(g, func(ctx context.Context, c *client.Client, out *output) error {
		id, err := c.CreateSubscription(ctx, k.Queue, client.NewSubscription{Subscriber: k.Subscriber, TTL: k.TTL.duration(), Options: options})
		if client.Status(err) == 409 {
			return fmt.Errorf("%s has a subscription to %s already: `nusku subscription list %s` shows it, `nusku subscription update` changes it",
				k.Subscriber, k.Queue, k.Queue)
		}
		if err != nil {
			return err
		}
		return out.say(map[string]any{"id": id, "source": shownName(k.Queue)}, "Subscription %s created.", id)
	})
}

// printSubscriptions prints subscriptions in columns, or whole for scripts.
func printSubscriptions(out *output, subs []client.StoredSubscription) error {
	return rows(out, "SUBSCRIPTION SUBSCRIBER TTL AGE CONFIRMED OPTIONS", subs, func(s client.StoredSubscription) any { return s },
		func(s client.StoredSubscription) []string {
			return []string{s.ID, s.Subscriber, seconds(s.TTL), seconds(s.Age), yesNo(s.Confirmed), clip(s.Options, 60)}
		})
}

// yesNo is a truth value for a column.
func yesNo(so bool) string {
	if so {
		return "yes"
	}
	return "no"
}

type subscriptionListCmd struct {
	clientFlags
	pageFlags
	Queue string `arg:"" help:"The queue's name, or topic:NAME."`
}

// Run lists the subscriptions.
func (k *subscriptionListCmd) Run(g *globals) error {
	return k.with(g, func(ctx context.Context, c *client.Client, out *output) error {
		subs, err := allPages(ctx, k.pageFlags, func(s client.StoredSubscription) string { return s.ID },
			func(ctx context.Context, marker string, limit int) ([]client.StoredSubscription, error) {
				return c.Subscriptions(ctx, k.Queue, marker, limit)
			})
		if err != nil {
			return err
		}
		return printSubscriptions(out, subs)
	})
}

// subscriptionArgs name one subscription.
type subscriptionArgs struct {
	Queue        string `arg:"" help:"The queue's name, or topic:NAME."`
	Subscription string `arg:"" help:"The subscription's id."`
}

// explain says what to do about a subscription that is not there.
func (a *subscriptionArgs) explain(err error) error {
	if client.Status(err) == 404 {
		return fmt.Errorf("%s has no subscription %s; `nusku subscription list %s` shows those that there are", a.Queue, a.Subscription, a.Queue)
	}
	return err
}

type subscriptionGetCmd struct {
	clientFlags
	subscriptionArgs
}

// Run prints the subscription.
func (k *subscriptionGetCmd) Run(g *globals) error {
	return k.with(g, func(ctx context.Context, c *client.Client, out *output) error {
		sub, err := c.Subscription(ctx, k.Queue, k.Subscription)
		if err != nil {
			return k.subscriptionArgs.explain(err)
		}
		return printSubscriptions(out, []client.StoredSubscription{*sub})
	})
}

type subscriptionUpdateCmd struct {
	clientFlags
	subscriptionArgs
	Subscriber string   `placeholder:"URI" help:"Where to from now on."`
	TTL        timeSpan `name:"ttl" placeholder:"TIME" help:"How long the subscription lives from now on."`
	Options    string   `placeholder:"JSON" help:"A JSON object in place of the old options."`
}

// Help is what --help says below the usage.
func (*subscriptionUpdateCmd) Help() string {
	return "For example:\n\nnusku subscription update jobs 7c9e6679-7425-40de-944b-e07fc1f90ae7 --ttl=24h"
}

// Run changes the subscription.
func (k *subscriptionUpdateCmd) Run(g *globals) error {
	options, err := jsonObject("--options", k.Options)
	if err != nil {
		return err
	}
	change := client.SubscriptionChange{Subscriber: k.Subscriber, TTL: k.TTL.duration(), Options: options}
	if change == (client.SubscriptionChange{}) {
		return usageError{fmt.Errorf("nothing to change: say what with --subscriber, --ttl or --options")}
	}
	return k.with(g, func(ctx context.Context, c *client.Client, out *output) error {
		if err := c.UpdateSubscription(ctx, k.Queue, k.Subscription, change); err != nil {
			return k.subscriptionArgs.explain(err)
		}
		return out.say(map[string]any{"id": k.Subscription, "updated": true}, "Subscription %s updated.", k.Subscription)
	})
}

type subscriptionConfirmCmd struct {
	adminFlags // where subscribers are asked, nobody else may answer for them
	subscriptionArgs
	Refuse bool `help:"Say that the subscriber does not want the messages."`
}

// Help is what --help says below the usage.
func (*subscriptionConfirmCmd) Help() string {
	return "It matters to gateways with --require-confirmation, which deliver to confirmed subscriptions alone. Others deliver to all; " +
		"nusku subscription delete ends a subscription everywhere."
}

// Run confirms the subscription.
func (k *subscriptionConfirmCmd) Run(g *globals) error {
	return k.with(g, func(ctx context.Context, c *client.Client, out *output) error {
		if err := c.ConfirmSubscription(ctx, k.Queue, k.Subscription, !k.Refuse); err != nil {
			return k.subscriptionArgs.explain(err)
		}
		text := "Subscription %s confirmed."
		if k.Refuse {
			text = "Subscription %s is not confirmed. A gateway that requires confirmation delivers nothing to it; others deliver all the " +
				"same, until `nusku subscription delete` ends it."
		}
		return out.say(map[string]any{"id": k.Subscription, "confirmed": !k.Refuse}, text, k.Subscription)
	})
}

type subscriptionSecretCmd struct {
	clientFlags
	subscriptionArgs
	Rotate bool `help:"Make a new secret. The one before it signs too for a day, so that the receiver can be changed meanwhile."`
}

// Help is what --help says below the usage.
func (*subscriptionSecretCmd) Help() string {
	return "Requests to a webhook are signed as Standard Webhooks has it: the receiver checks the header webhook-signature with the " +
		"secret that is printed here. The newest comes first."
}

// Run prints the secrets.
func (k *subscriptionSecretCmd) Run(g *globals) error {
	return k.with(g, func(ctx context.Context, c *client.Client, out *output) error {
		secrets, err := c.SubscriptionSecrets(ctx, k.Queue, k.Subscription, k.Rotate)
		if err != nil {
			return k.subscriptionArgs.explain(err)
		}
		for _, secret := range secrets {
			if err := out.say(map[string]string{"secret": secret}, "%s", secret); err != nil {
				return err
			}
		}
		return nil
	})
}

type subscriptionDeleteCmd struct {
	clientFlags
	Queue         string   `arg:"" help:"The queue's name, or topic:NAME."`
	Subscriptions []string `arg:"" name:"subscription" help:"The subscriptions' ids."`
}

// Run ends the subscriptions.
func (k *subscriptionDeleteCmd) Run(g *globals) error {
	return k.with(g, func(ctx context.Context, c *client.Client, out *output) error {
		for _, id := range k.Subscriptions {
			if err := c.DeleteSubscription(ctx, k.Queue, id); err != nil {
				return err
			}
			if err := out.say(map[string]any{"id": id, "deleted": true}, "Subscription %s removed.", id); err != nil {
				return err
			}
		}
		return nil
	})
}
