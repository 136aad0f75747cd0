"""Prints the texts of an SVG file, one a line; fails if it is not well-formed: svg_texts.py FILE"""

import sys
import xml.etree.ElementTree as tree

for element in tree.parse(sys.argv[1]).iter():
    if element.tag.endswith("text") and element.text:
        print(element.text.strip())
