package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/nusku-messaging/nusku/protocol/client"
)

// updateFlags say what changes in a queue's or topic's metadata.
type updateFlags struct {
	Set    []string `sep:"none" placeholder:"NAME=VALUE" help:"Give an attribute this value: JSON, or else a string. Repeatable."`
	Remove []string `placeholder:"NAME" help:"Remove an attribute. Repeatable."`
	Patch  string   `placeholder:"JSON" help:"A JSON patch instead, like '[{\"op\": \"add\", \"path\": \"/metadata/a\", \"value\": 1}]'."`
}

// changes are the steps that the flags ask for.
func (f *updateFlags) changes() ([]client.PatchOp, error) {
	var changes []client.PatchOp
	if f.Patch != "" {
		if len(f.Set)+len(f.Remove) > 0 {
			return nil, usageError{errors.New("--patch says everything: leave --set and --remove out")}
		}
		return patchOps(f.Patch)
	}
	for _, assignment := range f.Set {
		name, value, ok := strings.Cut(assignment, "=")
		if !ok || name == "" {
			return nil, usageError{fmt.Errorf("--set is %q; it must be like colour=green or _default_message_ttl=300", assignment)}
		}
		changes = append(changes, client.PatchOp{Op: "add", Path: metadataPath(name), Value: body([]byte(value), false)})
	}
	for _, name := range f.Remove {
		changes = append(changes, client.PatchOp{Op: "remove", Path: metadataPath(name)})
	}
	if len(changes) == 0 {
		return nil, usageError{errors.New("nothing to change: say what with --set NAME=VALUE or --remove NAME")}
	}
	return changes, nil
}

// patchOps reads a JSON patch and keeps its values as they are written.
func patchOps(text string) ([]client.PatchOp, error) {
	var steps []struct {
		Op    string          `json:"op"`
		Path  string          `json:"path"`
		Value json.RawMessage `json:"value"`
	}
	if err := json.Unmarshal([]byte(text), &steps); err != nil {
		return nil, usageError{fmt.Errorf("--patch must be a JSON list of changes: %w", err)}
	}
	changes := make([]client.PatchOp, len(steps))
	for i, step := range steps {
		changes[i] = client.PatchOp{Op: step.Op, Path: step.Path}
		if step.Value != nil {
			changes[i].Value = step.Value
		}
	}
	return changes, nil
}

// metadataPath is an attribute as a JSON pointer (RFC 6901).
func metadataPath(name string) string {
	return "/metadata/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

type queueUpdateCmd struct {
	clientFlags
	updateFlags
	Queue string `arg:"" help:"The queue's name."`
}

// Help is what --help says below the usage.
func (*queueUpdateCmd) Help() string {
	return "Attributes that begin with _ are the gateway's own: _default_message_ttl, _default_message_delay, " +
		"_max_messages_post_size, _max_claim_count, _dead_letter_queue, _dead_letter_queue_messages_ttl, _flavor, _retry_policy. " +
		"All changes are made, or none.\n\nFor example:\n\n" +
		"nusku queue update jobs --set _default_message_ttl=300 --set colour=green --remove size"
}

// Run changes the metadata and prints them.
func (k *queueUpdateCmd) Run(g *globals) error {
	changes, err := k.changes()
	if err != nil {
		return err
	}
	return k.with(g, func(ctx context.Context, c *client.Client, out *output) error {
		metadata, err := c.UpdateQueue(ctx, k.Queue, changes...)
		switch client.Status(err) {
		case 404:
			return missingQueue(k.Queue)
		case 409:
			return fmt.Errorf("%w (nothing was changed)", err)
		}
		if err != nil {
			return err
		}
		return out.object(metadata)
	})
}
