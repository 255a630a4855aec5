"""What a tap is asked to do: parsed and checked at the edge, and immutable afterwards.

config        Config: the options of one tap
link_config   LinkConfig: those of one link
option        how an option is declared, once, for the command line, the file, Python and the pages
file          the configuration file
keywords      the keywords of Tap(), written from the declarations
"""

from tap.config.config import Config
from tap.config.link_config import LinkConfig

__all__ = ["Config", "LinkConfig"]
