"""The leak gates: by the catalog, can a feature set see the future?"""
