module example.org/shout

go 1.26

require github.com/ratchet-rl/ratchet v0.0.0
