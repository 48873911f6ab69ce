"""From the outbox to the peers: durable files, ordered, retried deliveries."""
