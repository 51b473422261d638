Question(text='Which city is the birthplace of the architect who designed the Sydney Opera House?', searches=10)

ActionWrapper(thoughts="I need to know who designed the Sydney Opera House before I can ask where that person was born.", action=Search(query='Sydney Opera House architect'))

SearchResult(links=[
ResultItem(link_text='Sydney Opera House', snippet='The Sydney Opera House is a performing arts centre in Sydney. Its design by the Danish architect Jørn Utzon won a competition in 1957.'),
ResultItem(link_text='Sydney Harbour Bridge', snippet='The Sydney Harbour Bridge is a steel arch bridge opened in 1932.'),
ResultItem(link_text='Opera Australia', snippet='Opera Australia is the principal opera company of Australia and performs at the Sydney Opera House.'),
])

# [link_id=2] is about the bridge beside it. Not selected.
# [link_id=3] is about a company that performs there. Not selected.
LinkSelection(grounded_summarization='According to [link_id=1], the Sydney Opera House was designed by the Danish architect Jørn Utzon.', thoughts="The architect is known now: Jørn Utzon. His birthplace is still missing.", selected_link_ids=[1])

ActionWrapper(thoughts="The architect is Jørn Utzon. Now I need the city he was born in.", action=Search(query='Jørn Utzon birthplace'))

SearchResult(links=[
ResultItem(link_text='Jørn Utzon', snippet='Jørn Oberg Utzon (9 April 1918 - 29 November 2008) was a Danish architect born in Copenhagen.'),
ResultItem(link_text='Utzon Center', snippet='The Utzon Center in Aalborg is the last building that Jørn Utzon designed.'),
])

# [link_id=5] is about a museum in Aalborg, not about where he was born. Not selected.
LinkSelection(grounded_summarization='According to [link_id=4], Jørn Utzon was born in Copenhagen.', thoughts="Both facts are known: the architect and his birthplace.", selected_link_ids=[4])

ActionWrapper(thoughts="The architect is Jørn Utzon and he was born in Copenhagen. Nothing is missing.", action=Terminate())

Answer(thoughts="Combine the two facts and cite both sources.", answer="The Sydney Opera House was designed by Jørn Utzon [link_id=1], who was born in Copenhagen [link_id=4].")

# The question asks for a city, the birthplace of the architect.
# The answer names the architect and the city, so it is relevant.
Check_Answer(passed=True)

# [link_id=1] says that Jørn Utzon designed it: supported.
# [link_id=4] says that he was born in Copenhagen: supported.
Check_Answer(passed=True)
#
Question(text='In what year was the university founded where the discoverer of penicillin studied medicine?', searches=10)

ActionWrapper(thoughts="First I need to find where the discoverer of penicillin studied medicine.", action=Search(query='discoverer of penicillin studied medicine at'))

SearchResult(links=[
ResultItem(link_text='History of penicillin', snippet='The mould Penicillium was observed for centuries before its effect on bacteria was understood.'),
ResultItem(link_text='Alexander Fleming', snippet='Sir Alexander Fleming discovered penicillin in 1928. He studied at St Mary&#39;s Hospital Medical School of the University of London.'),
])

# [link_id=1] does not say who discovered it. Not selected.
LinkSelection(grounded_summarization="According to [link_id=2], Alexander Fleming discovered penicillin and studied at St Mary's Hospital Medical School of the University of London.", thoughts="The university is the University of London. I still need the year of its foundation.", selected_link_ids=[2])

ActionWrapper(thoughts="Fleming studied at a school of the University of London. When was that university founded?", action=Search(query='University of London founded year'))

SearchResult(links=[
ResultItem(link_text='London', snippet='London is the capital of England and of the United Kingdom.'),
ResultItem(link_text='University of London Boat Club', snippet='The boat club rows on the River Thames in Chiswick.'),
])

# [link_id=3] is about the city. Not selected.
# [link_id=4] is about a sports club. Not selected.
LinkSelection(grounded_summarization='Nothing is selected.', thoughts="None of the results says when the university was founded. I should ask in other words.", selected_link_ids=[])

ActionWrapper(thoughts="The last search did not help. I ask for the royal charter, which is how the university was founded.", action=Search(query='University of London royal charter'))

SearchResult(links=[
ResultItem(link_text='University of London', snippet='The University of London is a federal university. It was established by royal charter in <b>1836</b>.'),
])

LinkSelection(grounded_summarization='According to [link_id=5], the University of London was established by royal charter in 1836.', thoughts="The year is known. Everything that was asked for is known.", selected_link_ids=[5])

ActionWrapper(thoughts="Fleming studied at the University of London, which was founded in 1836. I can answer.", action=Terminate())

Answer(thoughts="State the chain from penicillin to the year, with the sources.", answer="Alexander Fleming, who discovered penicillin, studied at a school of the University of London [link_id=2], which was founded in 1836 [link_id=5].")

# The question asks for a year, and the answer gives one: 1836.
# It is the year of the university where the discoverer studied.
Check_Answer(passed=True)

# [link_id=2] supports that Fleming discovered penicillin and studied there.
# [link_id=5] supports the year 1836.
Check_Answer(passed=True)
#
Question(text='Who wrote the novel on which the film Blade Runner is based, and in which year was it published?', searches=10)

ActionWrapper(thoughts="I need the novel behind the film Blade Runner, its author and its year.", action=Search(query='Blade Runner film based on novel'))

SearchResult(links=[
ResultItem(link_text='Blade Runner', snippet='Blade Runner is a 1982 film directed by Ridley Scott, based on the 1968 novel Do Androids Dream of Electric Sheep? by Philip K. Dick.'),
ResultItem(link_text='Ridley Scott', snippet='Ridley Scott is an English film director, known for Alien and Gladiator.'),
])

# [link_id=2] is about the director. Not selected.
LinkSelection(grounded_summarization='According to [link_id=1], Blade Runner is based on the 1968 novel Do Androids Dream of Electric Sheep? by Philip K. Dick.', thoughts="One result answers both parts: the author and the year.", selected_link_ids=[1])

ActionWrapper(thoughts="The author is Philip K. Dick and the year is 1968. One search was enough.", action=Terminate())

Answer(thoughts="Both parts are in one source.", answer="The film was directed by Ridley Scott and came out in 1982 [link_id=1].")

# The question asks who wrote the novel and when it was published.
# The answer speaks of the director and the year of the film, so it is not relevant. I revise it.
Revise_Answer(revised_answer='The novel is Do Androids Dream of Electric Sheep? by Philip K. Dick, published in 1968 [link_id=1].')

# [link_id=1] names the novel, its author and the year 1968: all supported.
Check_Answer(passed=True)
#
Question(text='What is the capital of the country that won the football World Cup in 1930?', searches=2)

ActionWrapper(thoughts="I need the winner of the 1930 World Cup.", action=Search(query='1930 FIFA World Cup winner'))

SearchResult(links=[
ResultItem(link_text='1930 FIFA World Cup', snippet='The 1930 FIFA World Cup was the first one. It was held in Uruguay, and the hosts won the final 4-2 against Argentina.'),
ResultItem(link_text='1934 FIFA World Cup', snippet='The 1934 FIFA World Cup was held in Italy and won by Italy.'),
])

# [link_id=2] is about another World Cup. Not selected.
LinkSelection(grounded_summarization='According to [link_id=1], Uruguay won the 1930 World Cup.', thoughts="The country is Uruguay. Its capital should come from a source too.", selected_link_ids=[1])

ActionWrapper(thoughts="The winner was Uruguay. One search is left; I use it to find its capital.", action=Search(query='Uruguay capital'))

SearchResult(links=[
ResultItem(link_text='Montevideo', snippet='Montevideo is the capital and largest city of Uruguay.'),
ResultItem(link_text='Uruguay River', snippet='The Uruguay River flows through Brazil, Uruguay and Argentina.'),
])

# [link_id=4] is about a river. Not selected.
LinkSelection(grounded_summarization='According to [link_id=3], Montevideo is the capital of Uruguay.', thoughts="The capital is known as well.", selected_link_ids=[3])

ActionWrapper(thoughts="No search is left, and none is needed: the capital is Montevideo.", action=Terminate())

Answer(thoughts="Give the country and its capital.", answer="Uruguay won the World Cup in 1930 [link_id=1]; its capital is Montevideo, founded in 1724 [link_id=3].")

# The question asks for a capital, and the answer names Montevideo.
Check_Answer(passed=True)

# [link_id=1] supports that Uruguay won. [link_id=3] supports that Montevideo is the capital.
# No source says that it was founded in 1724, so I take that out.
Check_Answer(passed=False)
Revise_Answer(revised_answer='Uruguay won the World Cup in 1930 [link_id=1]; its capital is Montevideo [link_id=3].')
#
Question(text='Is the company that makes the Vespa older than Ducati?', searches=10)

ActionWrapper(thoughts="I need to know which company makes the Vespa and when it was founded.", action=Search(query='company that makes the Vespa founded'))

SearchResult(links=[
ResultItem(link_text='Vespa', snippet='Vespa is a brand of scooters made by Piaggio.'),
ResultItem(link_text='Piaggio', snippet='Piaggio is an Italian maker of motor vehicles, founded in 1884 in Genoa.'),
ResultItem(link_text='Wasp', snippet='Vespa is the Italian word for wasp.'),
])

# [link_id=3] is about the meaning of the word. Not selected.
LinkSelection(grounded_summarization='According to [link_id=1, 2], the Vespa is made by Piaggio, which was founded in 1884.', thoughts="Piaggio is from 1884. Now I need the year in which Ducati was founded.", selected_link_ids=[1, 2])

ActionWrapper(thoughts="Piaggio was founded in 1884. When was Ducati founded?", action=Search(query='Ducati founded year'))

SearchResult(links=[
ResultItem(link_text='Ducati', snippet='Ducati was founded in Bologna in 1926 by Antonio Cavalieri Ducati and his three sons.'),
])

LinkSelection(grounded_summarization='According to [link_id=4], Ducati was founded in 1926.', thoughts="Both years are known and can be compared.", selected_link_ids=[4])

ActionWrapper(thoughts="1884 is before 1926, so the answer is yes. Nothing is missing.", action=Terminate())

Answer(thoughts="Compare the two years and cite both.", answer="Yes. Piaggio, which makes the Vespa, was founded in 1884 [link_id=1, 2], and Ducati in 1926 [link_id=4].")

# The question is a yes-or-no question about which company is older. The answer says yes and gives both years.
Check_Answer(passed=True)

# [link_id=1] says that Piaggio makes the Vespa, [link_id=2] that it was founded in 1884.
# [link_id=4] says that Ducati was founded in 1926. 1884 is earlier, so "Yes" follows.
Check_Answer(passed=True)
#
Question(text='How many siblings did the third private secretary of Queen Orlena of Vastland have?', searches=1)

ActionWrapper(thoughts="I need to find out whether there was such a queen, and who her third private secretary was.", action=Search(query='Queen Orlena of Vastland private secretary'))

SearchResult(links=[
ResultItem(link_text='Västerland', snippet='Västerland is a railway station on the island of Sylt.'),
])

# [link_id=1] is about a railway station with a similar name. Not selected.
LinkSelection(grounded_summarization='Nothing is selected.', thoughts="The result has nothing to do with the question, and no search is left.", selected_link_ids=[])

ActionWrapper(thoughts="No search is left. I must end here and say what could not be found.", action=Terminate())

Answer(thoughts="Nothing was found; say so instead of guessing.", answer="It could not be determined: no source about Queen Orlena of Vastland or her private secretaries was found.")

# The question asks for a number. The answer says that it could not be determined and why, which is honest and to the point.
Check_Answer(passed=True)

# The answer makes no claim that would need a source.
Check_Answer(passed=True)
