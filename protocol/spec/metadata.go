package spec

// metadataSchema describes a queue's metadata. Reserved attributes begin with an underscore, and may be null; all others
// are the client's own.
func metadataSchema() schema {
	return schema{
		"type": "object",
		"properties": members{
			"_default_message_ttl": between("How long a message lives that does not say, in seconds.",
				int64(limits.MinMessageTTL), int64(limits.MaxMessageTTL)).orNull(),
			"_default_message_delay":  between("When a message is due that does not say, in seconds.", 0, int64(limits.MaxMessageDelay)).orNull(),
			"_max_messages_post_size": between("The largest post, in bytes.", 1, int64(limits.MaxPostBytes)).orNull(),
			"_max_claim_count":        seconds("How many claims a message may see before it is a dead letter.").orNull(),
			"_dead_letter_queue":      text("The queue for dead letters.").orNull(),
			"_dead_letter_queue_messages_ttl": between("How long a dead letter lives, in seconds.",
				int64(limits.MinMessageTTL), int64(limits.MaxMessageTTL)).orNull(),
			"_enable_encrypt_messages": boolean("Whether messages are encrypted.").orNull(),
			"_flavor":                  text("The flavor whose pools a new queue may be placed in.").orNull(),
			"_retry_policy":            ref("RetryPolicy"),
		},
	}
}

// retrySchema describes how deliveries to a webhook or by mail are tried again.
func retrySchema() schema {
	return schema{
		"type": []string{"object", "null"},
		"properties": members{
			"retries_with_no_delay": seconds("How often to try again at once."),
			"minimum_delay_retries": seconds("How often to try again after the shortest pause."),
			"minimum_delay":         seconds("The shortest pause, in seconds.").with("default", 5),
			"maximum_delay":         seconds("The longest pause, in seconds.").with("default", 30),
			"maximum_delay_retries": seconds("How often to try again after the longest pause."),
			"retry_backoff_function": schema{"enum": []string{"", "linear", "arithmetic", "exponential", "geometric"},
				"description": "How the pauses in between grow."},
			"ignore_subscription_override": boolean("Whether a subscription's own policy counts for nothing."),
		},
	}
}

// patchSchema describes a JSON patch of metadata.
func patchSchema() schema {
	path := text("The attribute: /metadata/NAME, with ~1 for a slash and ~0 for a tilde.").with("pattern", "^/[Mm][Ee][Tt][Aa][Dd][Aa][Tt][Aa]/[^/]+$")
	change := schema{
		"type": "object", "required": []string{"op", "path", "value"},
		"properties": members{"op": schema{"enum": []string{"add", "replace"}}, "path": path, "value": anything("The attribute's value.")},
	}
	remove := schema{
		"type": "object", "required": []string{"op", "path"},
		"properties": members{"op": constant("remove"), "path": path},
	}
	return array(anyOf(change, remove))
}
