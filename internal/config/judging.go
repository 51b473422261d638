package config

import "fmt"

// mostVotes is more than a majority ever needs.
const mostVotes = 9

func (v *check) judging(j Judging) {
	if j.Votes < 0 || j.Votes > mostVotes || j.Votes != 0 && j.Votes%2 == 0 {
		v.add("judging.votes", fmt.Sprintf("want an odd number up to %d, or 0, not %d", mostVotes, j.Votes), "3 is a good start: of an even number, half may say one thing and half the other")
	}
	v.within("judging.swap", j.Swap, 0, 1)
}
