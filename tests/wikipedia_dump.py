"""A small dump of Wikipedia in the form of enwik8: that of 2006, which names a page's namespace in its title alone."""

_PAGES = {
    "AaA": "#REDIRECT [[Ale]]",
    "Ale": """{{Infobox|style={{nowrap|warm}}}}
[[Image:ale.jpg|thumb|A glass of ale]]
'''Ale''' is a [[beer|kind of beer]] of warm fermentation &amp;amp; &amp;lt;&lt;ref&gt;A book&lt;/ref&gt;
of [[hops]].&lt;!-- fermentation é --&gt;
[[Category:Beer]]
[[fr:Ale]]""",
    "Talk:Ale": "I prefer lager.",
    "Category:Beer": "Beers.",
    "2001: A Space Odyssey": "A [[film]] of 1968.",
}
_PAGE = """  <page>
    <title>{}</title>
    <id>1</id>
    <revision><id>2</id><text xml:space="preserve">{}</text></revision>
  </page>
"""
DUMP = f"""<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.3/" version="0.3" xml:lang="en">
  <siteinfo>
    <sitename>Wikipedia</sitename>
    <namespaces>
      <namespace key="0" />
      <namespace key="1">Talk</namespace>
      <namespace key="14">Category</namespace>
    </namespaces>
  </siteinfo>
{"".join(_PAGE.format(title, text) for title, text in _PAGES.items())}</mediawiki>
""".encode()
