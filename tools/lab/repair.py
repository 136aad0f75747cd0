"""Prints the packages of this environment that lack files, as name==version, one a line.

An installation that is killed half-way can leave a package that pip takes for complete.
"""
import importlib.metadata
import os
import shutil
import sysconfig

packages = sysconfig.get_path("purelib")

# What pip moves aside while it replaces a package; left over by a killed run.
for name in os.listdir(packages):
    if name.startswith("~"):
        shutil.rmtree(os.path.join(packages, name), ignore_errors=True)

for distribution in importlib.metadata.distributions(path=[packages]):
    name = distribution.metadata["Name"]
    version = distribution.metadata["Version"]
    if not name or not version:
        continue
    files = distribution.files

    def is_whole(file):
        # Compiled files come and go.
        if file.suffix == ".pyc":
            return True
        path = file.locate()
        # Longer is no sign of a broken-off copy: some machines append their own certificates to certifi's.
        return os.path.exists(path) and os.path.getsize(path) >= (file.size or 0)

    if files is None or not all(map(is_whole, files)):
        print(f"{name}=={version}")
